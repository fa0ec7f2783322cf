"""What the axes of an array are: said, guessed, doubted and told."""

import numpy as np
import pytest
from exact import refusal

from eigenfall import axes


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def session(stimuli=60, units=20, repeats=3, seed=0):
    """Units that differ from one another more than stimuli do, as firing rates: (repeats, stimuli, units)."""
    generator = np.random.default_rng(seed)
    rate = generator.exponential(5, units)
    tuned = rate * (1 + 0.3 * generator.standard_normal((stimuli, units)))
    return tuned + generator.standard_normal((repeats, stimuli, units))


# ------------------------------------------------------------------------------------ said


@pytest.mark.parametrize(
    "text", ["repeats,stimuli,units", "repeats stimuli units", "repeats/stimuli/units", "repeats × stimuli × units"]
)
def test_words_are_parted_by_what_people_type(text):
    found = axes.said(text, (2, 30, 8))
    assert (found.names, found.size, found.samples) == (("repeats", "stimuli", "units"), (2, 30, 8), "stimuli")
    assert not found.guessed
    assert found.doubts == ()


@pytest.mark.parametrize(
    "text, shape, size",
    [
        ("units stimuli repeats", (8, 30, 2), (2, 30, 8)),
        ("stimuli repeats units", (30, 2, 8), (2, 30, 8)),
        ("units time", (8, 30), (1, 30, 8)),
        ("presentations units", (30, 8), (1, 30, 8)),
    ],
)
def test_an_array_is_turned_to_repeats_stimuli_units(text, shape, size):
    found, values = axes.said(text, shape), drawn(*shape)
    turned = found.turned(values)
    assert turned.shape == found.size == size
    for place in np.ndindex(*shape):
        named = dict(zip(found.names, place))
        assert turned[named.get("repeats", 0), named[found.samples], named["units"]] == values[place]


@pytest.mark.parametrize(
    "text",
    [
        "units stimuli",
        "units units repeats",
        "stimuli time units",
        "units repeats time stimuli",
        "presentations repeats units",
    ],
)
def test_words_that_do_not_fit_are_refused(text):
    assert refusal(axes.said, text, (4, 5, 6)) == (
        f"Expected names for 3 axes, such as 'units stimuli repeats', got {text!r}. The array's shape is (4, 5, 6)."
    )


def test_a_misspelt_word_is_refused_with_the_nearest():
    assert refusal(axes.said, "presentation units", (4, 5)) == (
        "Expected a known axis, got 'presentation'. Did you mean 'presentations'?"
    )


def test_more_repeats_than_stimuli_is_odd_and_said():
    assert axes.said("repeats stimuli units", (40, 30, 8)).doubts == ("There are more repeats, 40, than stimuli, 30.",)


# --------------------------------------------------------------------------------- guessed


def test_what_the_values_speak_for_is_not_doubted():
    values = session()
    for array, names in (
        (values, ("repeats", "stimuli", "units")),
        (values.transpose(2, 1, 0), ("units", "stimuli", "repeats")),
        (values.mean(0), ("stimuli", "units")),
    ):
        found = axes.guessed(array.shape, array)
        assert (found.names, found.doubts, found.guessed) == (names, (), True)


def test_what_the_values_speak_against_is_said_and_the_guess_stands():
    values = session()
    latter = "and the values look like the latter: they are read as the former. If that is wrong, say the axes."
    found = axes.guessed((20, 60), values.mean(0).T)
    assert found.names == ("stimuli", "units")
    assert found.doubts == (f"The axes may be stimuli × units or units × stimuli, {latter}",)
    found = axes.guessed((3, 20, 60), values.transpose(0, 2, 1))
    assert found.names == ("repeats", "stimuli", "units")
    assert found.doubts == (f"The axes may be stimuli × units or units × stimuli, {latter}",)
    found = axes.guessed((60, 20, 3), values.transpose(1, 2, 0))
    assert found.doubts == (f"The axes may be units × stimuli or stimuli × units, {latter}",)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (20, 60, 3)])
def test_a_toss_up_is_said(shape):
    (doubt,) = axes.guessed(shape, drawn(*shape)).doubts
    assert "and nothing in the values tells which: they are read as the former." in doubt


def test_this_packages_own_order_needs_no_evidence():
    assert axes.guessed((3, 60, 20), drawn(3, 60, 20)).doubts == ()


@pytest.mark.parametrize("rows", [100, 30])
def test_z_scored_units_are_known_by_their_means(rows):
    values = session(stimuli=rows, units=50).mean(0)
    values = (values - values.mean(0)) / values.std(0)
    assert axes.likelier_units(values) == 1
    assert axes.likelier_units(values.T.astype(np.float32)) == 0
    assert axes.likelier_units(values - values.mean(1, keepdims=True)) is None


@pytest.mark.parametrize("values", [np.ones((5, 5)), drawn(2, 9), np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_values_that_say_nothing(values):
    assert axes.likelier_units(values) is None


def test_chance_seldom_speaks():
    """Of independent values, whatever the shape, hardly any look like units along an axis."""
    spoke = [
        axes.likelier_units(drawn(rows, columns, seed=seed)) is not None
        for seed in range(100)
        for rows, columns in ((30, 8), (8, 30), (40, 40))
    ]
    assert np.mean(spoke) < 0.03


def test_missing_repeats_tell_the_units():
    values = drawn(10, 40, 30)
    values[:, 3, 5:] = np.nan
    found = axes.guessed(values.shape, values)
    assert (found.names, found.doubts) == (
        ("units", "stimuli", "repeats"),
        (
            "The axis of length 30 is read as the repeats, but is hardly shorter than that of length 40: say the axes, "
            "for instance 'units stimuli repeats', if that is wrong.",
        ),
    )


@pytest.mark.parametrize(
    "shape, doubted", [((5, 5, 5), True), ((30, 40, 50), True), ((50, 40, 30), True), ((4, 9, 20), False)]
)
def test_repeats_that_are_hardly_fewer_than_stimuli_are_doubted(shape, doubted):
    assert bool(axes.guessed(shape, drawn(*shape)).doubts) == doubted


def test_repeats_in_the_middle_are_not_guessed():
    assert refusal(axes.guessed, (30, 4, 8), drawn(30, 4, 8)) == (
        "Expected axes that can be guessed: repeats, the shortest, first or last, got shape (30, 4, 8). "
        "Set axes, for instance 'stimuli repeats units'."
    )


def test_a_guess_looks_at_a_corner_of_what_stays_on_disk():
    for shape in ((2, 2800, 1_000_000), (10**7, 3), (10**5, 10**5), (300, 300, 300)):
        corner = [part.indices(length)[1] for part, length in zip(axes.corner_of(shape, whole=False), shape)]
        assert np.prod(corner, dtype=float) <= axes.CORNER
        assert min(corner) >= min(2, *shape)
    assert axes.corner_of((4, 5), whole=True) == (slice(None), slice(None))


# ------------------------------------------------------------------------------------ told


def test_what_is_understood_is_told():
    assert axes.understood((10, 600, 82), np.array([5, 9, 7])) == "600 stimuli × 82 units × 5-9 repeats"
    assert axes.understood((1, 600, 82), np.array([1]), "time") == "600 time points × 82 units × 1 repeat"
    assert axes.place((1, 13, 4)) == "repeat 1, stimulus 13, unit 4, counted from 0"
    assert axes.place((0, 13, 4), "presentations") == "presentation 13, unit 4, counted from 0"


@pytest.mark.parametrize(
    "word, ours", [("neuroid", "units"), ("Trials", "repeats"), ("units", "units"), ("depth", None)]
)
def test_other_peoples_words_are_known(word, ours):
    assert axes.named(word) == ours
