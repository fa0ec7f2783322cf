"""Settings are read by the type of their field, and spelt so that they are read back."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eigenfall.grammar import split, text_of, value_of


@dataclass(frozen=True)
class Inner:
    steps: int = 1


def read(text):
    name, _, steps = text.partition(":steps=")
    if name != "inner":
        raise ValueError(f"Expected inner, got {text!r}. Write it.")
    return Inner(int(steps or 1))


def spell(part):
    return f"inner:steps={part.steps}"


def parsed(text, hint):
    return value_of(text, hint, "setting", read)


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("true", bool, True),
        ("false", bool, False),
        ("40", int, 40),
        ("-3", int, -3),
        ("5", float, 5.0),
        ("-1e-3", float, -1e-3),
        ("1E+5", float, 1e5),
        ("inf", float, math.inf),
        ("[5]", float, 5.0),
        ("outputs", str, "outputs"),
        ("none", str, "none"),
        ("", str, ""),
        ("a=b:c/d", str, "a=b:c/d"),
        ("[a,b]", str, "a,b"),
        ("[[a]]", str, "[a]"),
        ("[a][b]", str, "[a][b]"),
        ("a/b.npz", Path, Path("a/b.npz")),
        ("/x/y z.npz", Path, Path("/x/y z.npz")),
        (r"C:\data\a.npz", Path, Path(r"C:\data\a.npz")),
        ("dlr", Literal["margin", "dlr"], "dlr"),
        ("1/n", Literal["1/n", "none"], "1/n"),
        ("none", Literal["1/n", "none"], "none"),
        ("2", Literal[1, 2], 2),
        ("true", Literal[True, "auto"], True),
        ("1000", tuple[int, ...], (1000,)),
        ("1000/500", tuple[int, ...], (1000, 500)),
        ("", tuple[int, ...], ()),
        ("1/1.2", tuple[float, ...], (1.0, 1.2)),
        ("features.3/fc1", tuple[str, ...], ("features.3", "fc1")),
        ("[a/b]/c", tuple[str, ...], ("a/b", "c")),
        ("[]", tuple[str, ...], ("",)),
        ("0/1.5", tuple[int, float], (0, 1.5)),
        ("a/b", tuple[str, Path], ("a", Path("b"))),
        ("[inner:steps=3]", Inner, Inner(3)),
        ("inner", Inner, Inner(1)),
        ("[inner:steps=3]/inner", tuple[Inner, ...], (Inner(3), Inner(1))),
        ("[inner:steps=3]", Any, Inner(3)),
        ("none", Any, None),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("all", int | Literal["all"], "all"),
        ("3", int | Literal["all"], 3),
        ("3", int | float, 3),
        ("3.0", int | float, 3.0),
        ("1", float | tuple[float, ...], 1.0),
        ("1/2", float | tuple[float, ...], (1.0, 2.0)),
        ("auto", Literal["auto"] | tuple[str, ...], "auto"),
        ("[auto]", Literal["auto"] | tuple[str, ...], ("auto",)),
        ("none", tuple[str, ...] | None, None),
        ("[none]", tuple[str, ...] | None, ("none",)),
        ("none/none", tuple[str, ...] | None, ("none", "none")),
        ("5", float | str, 5.0),
        ("[5]", float | str, "5"),
        ("five", float | str, "five"),
        ("none", str | None, None),
        ("[none]", str | None, "none"),
        ("a/b", str | tuple[str, ...], ("a", "b")),
        ("a", str | tuple[str, ...], "a"),
        ("[inner:steps=3]", Inner | None, Inner(3)),
        ("none", Inner | None, None),
    ],
)
def test_a_text_is_read_by_its_fields_type_and_spelt_to_be_read_again(text, hint, value):
    found = parsed(text, hint)
    assert (found, type(found)) == (value, type(value))
    again = parsed(text_of(value, hint, spell), hint)
    assert (again, type(again)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "hint", "text"),
    [
        (5, float, "5.0"),
        (5.0, int, "5"),
        (True, int, "1"),
        (0.1, float, "0.1"),
        (1e16, float, "1e+16"),
        ((1, 2.5), tuple[float, ...], "1.0/2.5"),
        (1, float | tuple[float, ...], "1.0"),
        ((1, 2), float | tuple[float, ...], "1.0/2.0"),
        ((1,), float | tuple[float, ...], "[1.0]"),
        (5, int | float, "5"),
        (5.0, int | float, "5.0"),
        (1, float | None, "1.0"),
        ("none", Literal["1/n", "none"], "none"),
        ("none", str | None, "[none]"),
        ("5", float | str, "[5]"),
        (("auto",), Literal["auto"] | tuple[str, ...], "[auto]"),
        (Inner(3), Inner | None, "[inner:steps=3]"),
        ((Inner(3), Inner(4)), tuple[Inner, ...], "[inner:steps=3]/[inner:steps=4]"),
        (None, int | None, "none"),
        (False, bool, "false"),
    ],
)
def test_a_value_is_spelt_as_its_fields_type(value, hint, text):
    assert text_of(value, hint, spell) == text


def balanced(text):
    """Written here again: hypothesis filters with it, and the shape checker must not draw random numbers then."""
    depths = [text[:end].count("[") - text[:end].count("]") for end in range(len(text) + 1)]
    return min(depths) >= 0 == depths[-1]


LETTERS = st.text("ab/[],=:. 1-none", max_size=8)
BALANCED = LETTERS.filter(balanced)
CASES = (
    st.tuples(st.just(bool), st.booleans())
    | st.tuples(st.just(int), st.integers())
    | st.tuples(st.just(float), st.floats(allow_nan=False))
    | st.tuples(st.just(str), BALANCED)
    | st.tuples(st.just(Path), BALANCED.map(Path))
    | st.tuples(st.just(tuple[str, ...]), st.lists(BALANCED, max_size=3).map(tuple))
    | st.tuples(st.just(tuple[Path, ...]), st.lists(BALANCED.map(Path), max_size=3).map(tuple))
    | st.tuples(st.just(tuple[float, ...]), st.lists(st.floats(allow_nan=False), max_size=3).map(tuple))
    | st.tuples(st.just(tuple[int, str]), st.tuples(st.integers(), BALANCED))
    | st.tuples(st.just(str | None), BALANCED | st.none())
    | st.tuples(st.just(float | str), BALANCED | st.floats(allow_nan=False))
    | st.tuples(st.just(int | Literal["all"] | None), st.integers() | st.just("all") | st.none())
    | st.tuples(st.just(float | tuple[float, ...]), st.floats(allow_nan=False) | st.tuples(st.floats(allow_nan=False)))
)


@given(CASES)
@settings(deadline=None, max_examples=300)
def test_spelling_and_reading_are_inverse(case):
    hint, value = case
    text = text_of(value, hint, spell)
    assert len(split(text, ",")) == 1  # it can stand among other settings
    found = parsed(text, hint)
    assert (found, type(found)) == (value, type(value))


@given(LETTERS, st.sampled_from([str | None, tuple[str, ...] | None, float | str, str | tuple[str, ...]]))
@settings(deadline=None, max_examples=200)
def test_what_was_read_is_spelt_to_be_read_the_same_or_refused(text, hint):
    try:
        value = parsed(text, hint)
        spelt = text_of(value, hint, spell)
    except ValueError:
        assume(False)
    assert parsed(spelt, hint) == value


SHOW = "`eigenfall parts` tells what it means."


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("x", int, f"Expected a whole number for setting, got 'x'. {SHOW}"),
        ("1.5", int, f"Expected a whole number for setting, got '1.5'. {SHOW}"),
        ("1e3", int, f"Expected a whole number for setting, got '1e3'. {SHOW}"),
        ("", float, f"Expected a number for setting, got ''. {SHOW}"),
        ("nan", float, f"Expected a number for setting, got 'nan'. {SHOW}"),
        ("True", bool, f"Expected true or false for setting, got 'True'. {SHOW}"),
        ("drl", Literal["margin", "dlr"], "Expected a known value of setting, got 'drl'. Did you mean 'dlr'?"),
        ("none", int, f"Expected a whole number for setting, got 'none'. {SHOW}"),
        ("x", int | None, f"Expected a whole number for setting, got 'x'. {SHOW}"),
        ("x", int | Literal["all"] | None, f"Expected a whole number or all or none for setting, got 'x'. {SHOW}"),
        ("1/x", tuple[int, ...], f"Expected a whole number for setting, got 'x'. {SHOW}"),
        ("1//2", tuple[int, ...], f"Expected a whole number for setting, got ''. {SHOW}"),
        ("1/2/3", tuple[float, float], f"Expected a number / a number for setting, got '1/2/3'. {SHOW}"),
        (
            "a",
            float | tuple[float, ...],
            f"Expected a number or several of a number joined by / for setting, got 'a'. {SHOW}",
        ),
        ("[a", tuple[str, ...], "Expected every [ with its ], got '[a'. Close or open the bracket."),
        ("a]/[b", tuple[str, ...], "Expected every [ with its ], got 'a]/[b'. Close or open the bracket."),
        ("[outer]", Inner, "Expected inner, got 'outer'. Write it."),
        ("[outer]", Inner | None, "Expected inner, got 'outer'. Write it."),
    ],
)
def test_what_does_not_fit_is_refused(text, hint, message):
    with pytest.raises(ValueError) as refusal:
        parsed(text, hint)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("a]", str, "Expected every [ with its ], got 'a]'. Close or open the bracket."),
        (
            math.nan,
            float,
            "Expected a number that can be written as text and read again, got nan. Choose another value.",
        ),
        (
            1.5,
            int,
            "Expected a whole number that can be written as text and read again, got 1.5. Choose another value.",
        ),
        (
            math.inf,
            int,
            "Expected a whole number that can be written as text and read again, got inf. Choose another value.",
        ),
        (
            math.nan,
            float | None,
            "Expected a number that can be written as text and read again, got nan. Choose another value.",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(value, hint, message):
    with pytest.raises(ValueError) as refusal:
        text_of(value, hint, spell)
    assert str(refusal.value) == message
