"""Presets of attacks with few steps each, where a test is about what surrounds them."""

from dataclasses import replace

from eigenfall.presets import Preset


def short(bundle: Preset, steps: int) -> Preset:
    """The same bundle, so many steps to each of its attacks and to its search."""
    attacks = {
        name: replace(part, steps=steps) if hasattr(part, "steps") else part for name, part in bundle.attacks.items()
    }
    return replace(bundle, attacks=attacks, search=replace(bundle.search, steps=steps))
