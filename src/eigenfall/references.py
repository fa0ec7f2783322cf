"""What to cite: the keys that parts carry, and their entries in `references.bib`."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eigenfall.check import one_of

BIB = Path(__file__).with_name("references.bib")


def entries() -> dict[str, str]:
    """Every BibTeX entry by its key."""
    text = BIB.read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"^@\w+\{([^,\s]+),\n.*?^\}$", text, re.MULTILINE | re.DOTALL)}


def citations(parts: Iterable[Any]) -> tuple[str, ...]:
    """Keys of the parts, and of the parts within them, each once, in order; a part may have none."""
    return tuple(dict.fromkeys(key for part in parts for key in _keys(part)))


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX entries of these keys, each once, in the order given.

    Raises:
        ValueError: for a key that `references.bib` does not have.
    """
    known, chosen = entries(), list(dict.fromkeys(keys))
    for key in chosen:
        one_of(key, known, "key in references.bib")
    return "\n\n".join(known[key] for key in chosen)


def _keys(part: Any) -> Iterator[str]:
    if isinstance(part, tuple):
        for entry in part:
            yield from _keys(entry)
    elif dataclasses.is_dataclass(part):
        key = getattr(part, "cite", None)
        if isinstance(key, str) and key:
            yield key
        for field in dataclasses.fields(part):
            yield from _keys(getattr(part, field.name))
