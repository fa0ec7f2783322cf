"""`eigenfall parts`: what there is to choose from."""

from typing import Annotated

import tyro

from eigenfall import parts as registry
from eigenfall.commands import screen
from eigenfall.rows import row


def parts(
    kind: Annotated[str, tyro.conf.Positional] = "", name: Annotated[str, tyro.conf.Positional] = "", json: str = ""
) -> None:
    """List the kinds of part, the parts of a kind, or one part's settings and presets.

    Args:
        kind: for instance penalties; empty: every kind.
        name: for instance spectral; empty: every part of the kind.
        json: write the counts as tidy rows to this file, `-` for standard output.
    """
    console = screen.printing(json)
    if name:
        screen.table(
            f"{kind}/{name}: {registry.headline(kind, name)}",
            ("setting", "default", "meaning"),
            registry.attributes(kind, name),
            console,
            numbers=False,
        )
        for preset, part in registry.presets(kind, name).items():
            console.print(f"preset [bold]{name}@{preset}[/bold] = {registry.spell(part)}", soft_wrap=True)
        screen.emit([row("settings", len(registry.attributes(kind, name)), kind=kind, part=name)], json)
        return
    kinds = (kind,) if kind else registry.KINDS
    found = [(each, part) for each in kinds for part in registry.names(each)]
    screen.table(
        "Parts",
        ("kind", "part", "what it is"),
        [(each, part, _headline(each, part)) for each, part in found],
        console,
        numbers=False,
    )
    if not kind:
        console.print("Settings of one: eigenfall parts KIND NAME")
    screen.emit([row("parts", sum(each == one for one, _ in found), kind=each) for each in kinds], json)


def _headline(kind: str, name: str) -> str:
    """What a part is; of a part that cannot be used, why: the others are listed all the same."""
    try:
        return registry.headline(kind, name)
    except ValueError as refusal:
        return str(refusal)
