"""Keys of parts, and their BibTeX entries."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from eigenfall.references import BIB, bibliography, citations, entries


@dataclass(frozen=True)
class Cited:
    cite: ClassVar[str] = "stringer2019"
    within: Any = None


@dataclass(frozen=True)
class Uncited:
    within: Any = None


@dataclass(frozen=True)
class Other:
    cite: ClassVar[str] = "nassar2020"


@dataclass(frozen=True)
class Empty:
    cite: ClassVar[str] = ""


def test_keys_come_once_in_order_and_from_within():
    assert citations([Other(), Uncited(), Cited(within=Other())]) == ("nassar2020", "stringer2019")
    assert citations([Uncited(within=(Cited(), Other()))]) == ("stringer2019", "nassar2020")
    assert citations([]) == citations([Empty()]) == ()


def test_entries_are_given_in_order_and_once():
    text = bibliography(["stringer2019", "nassar2020", "stringer2019"])
    assert re.findall(r"^@\w+\{(\w+),", text, re.M) == ["stringer2019", "nassar2020"]
    assert "doi = {10.1038/s41586-019-1346-5}" in text
    assert bibliography([]) == ""


def test_an_unknown_key_is_refused():
    with pytest.raises(ValueError) as refusal:
        bibliography(["stringer2091"])
    assert str(refusal.value) == (
        "Expected a known key in references.bib, got 'stringer2091'. Did you mean 'stringer2019'?"
    )


def test_the_file_is_well_formed():
    text, known = BIB.read_text(encoding="utf-8"), entries()
    assert len(known) == text.count("@") == len(re.findall(r"^@", text, re.M))
    assert list(known) == sorted(known)
    assert text.isascii()
    for key, entry in known.items():
        assert entry.count("{") == entry.count("}"), key
        fields = dict(re.findall(r"^  (\w+) = \{(.*?)\},?$", entry, re.M | re.S))
        assert {"author", "title", "year"} <= fields.keys(), key
        assert key[-4:] == fields["year"], key
        assert any(field in fields for field in ("doi", "eprint", "booktitle", "institution")), key
