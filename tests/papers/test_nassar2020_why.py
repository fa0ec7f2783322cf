"""Why it differs: arms that change one setting, traits of a net that is known, effects and associations planted."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from eigenfall.architectures.mlp import MLP
from eigenfall.papers.nassar2020 import why
from eigenfall.papers.nassar2020.causes import (
    association,
    correlations,
    effect,
    partial_correlations,
    ratio,
    robust,
    there,
    verdict,
)
from eigenfall.papers.nassar2020.found import Found
from eigenfall.papers.nassar2020.reasons import associated, factor_told, reading
from eigenfall.papers.nassar2020.runs import arms as arms_of_runs
from eigenfall.papers.nassar2020.traits import Pixels, Traits, aligned, linear, saturated, weights_of
from eigenfall.papers.nassar2020.why import Contrast
from eigenfall.papers.nassar2020.whyfigure import draw
from eigenfall.types import Estimate, Examples, Split


def net(weight, activation="tanh"):
    """A hidden layer with these weights, no batch-norm, and a readout."""
    empty = Split(torch.zeros(2, 1, 1, weight.shape[1]), torch.zeros(2).long())
    examples = Examples("toy", empty, empty, empty, classes=3)
    model = MLP(widths=(len(weight),), activation=activation)(examples, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.get_parameter("hidden1.transform.weight").copy_(weight)
        model.get_parameter("hidden1.transform.bias").zero_()
    return model.eval()


def one(share=0.5, **settings):
    held = {
        "robust": round(1000 * share),
        "attacked": 1000,
        "clean": 0.96,
        "distance": 0.03,
        "margin": 8.0,
        "slope": 400.0,
        "saturated": 0.2,
        "moved": 2.0,
        "aligned": 0.3,
        "linear": 0.4,
        "alpha": 1.1,
        "n90": 100.0,
        "participation": 20.0,
    }
    return Traits(**{**held, **settings})


# ------------------------------------------------------------------------------------ arms


@pytest.mark.parametrize("scale, runs", [("small", 93), ("quick", 69), ("paper", 0)])
def test_every_arm_has_three_seeds_and_a_name_of_its_own(scale, runs):
    arms = why.arms(scale)
    assert len({arm.name for arm in arms}) == len(arms)
    assert all(arm.seeds == (0, 1, 2) and arm.kind == "why" and arm.net == "shallow" for arm in arms)
    assert sum(len(arm.seeds) for arm in arms) == runs


@pytest.mark.parametrize("scale", ["small", "quick"])
def test_contrasts_name_arms_that_are_run(scale):
    names = {arm.name for arm in (*why.arms(scale), *arms_of_runs(scale))}
    missing = {name for each in why.contrasts(scale) for name in (each.above, each.below)} - names
    # told apart where a change was made in two of the three arms only
    assert missing <= {f"shallow spectral, step basis, {width} units" for width in (100, 1200)}


def test_arms_of_the_factorial_differ_in_age_and_rows_alone():
    arms = {arm.name: arm for arm in (*why.arms("small"), *arms_of_runs("small"))}
    epoch = vars(arms["shallow spectral, epoch basis"].penalties[0])
    for rows in ("all", 4000, 1000):
        for age in (5, 34):
            if (rows, age) == ("all", 34):
                continue
            arm = arms[f"shallow spectral, {age} updates of {rows}"]
            changed = {name: value for name, value in vars(arm.penalties[0]).items() if value != epoch[name]}
            drawn = {} if rows == "all" else {"rows": rows, "replacement": True, "fixed": False}
            assert changed == {"refresh": "every_k_steps", "k_steps": age, **drawn}
            assert arm.training == arms["shallow spectral, epoch basis"].training


def test_data_and_windows_follow_the_arm():
    runs = {run.arm: run for run in why.runs("small", seeds=[1])}
    assert runs["shallow plain, 7x7 pixels, 32 units"].data.pooled == 4
    assert runs["shallow plain, 1297 images"].data.train == 1297
    assert runs["shallow plain, Adam"].data.pooled == 1
    assert runs["shallow plain, 100 units"].plan.fits[0].last_rank == 99
    assert {run.plan.attacked_inputs for run in runs.values()} == {1000}


# ---------------------------------------------------------------------------------- traits


def test_saturated_share_of_a_known_net():
    # tanh(1) = .76, tanh(4) = .9993: half of the units
    model = net(torch.tensor([[1.0], [4.0]]))
    assert saturated(model, torch.ones(10, 1, 1, 1)) == 0.5
    assert saturated(model, torch.full((10, 1, 1, 1), 0.1)) == 0.0
    assert math.isnan(saturated(net(torch.ones(2, 1), "relu"), torch.ones(10, 1, 1, 1)))


def test_alignment_lies_between_the_eigenvalues():
    covariance = torch.diag(torch.tensor([4.0, 1.0])).double()
    assert aligned(torch.tensor([[3.0, 0.0]]).double(), covariance) == pytest.approx(4.0)
    assert aligned(torch.tensor([[0.0, -2.0]]).double(), covariance) == pytest.approx(1.0)
    assert aligned(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double(), covariance) == pytest.approx(2.5)


def images(count, pixels, seed):
    return torch.rand((count, 1, 1, pixels), generator=torch.Generator().manual_seed(seed))


def pixels_of(count=400, pixels=20):
    none = torch.zeros(count).long()
    split = [Split(images(count, pixels, seed), none) for seed in range(3)]
    return Pixels.of(Examples("toy", *split, classes=3))


def test_a_linear_code_is_linear_and_an_odd_one_is_not():
    seen = pixels_of()
    weight = torch.randn((40, 20), generator=torch.Generator().manual_seed(3))
    assert linear(net(1e-3 * weight), seen) == pytest.approx(1.0, abs=1e-3)
    assert linear(net(30.0 * weight), seen) < 0.7


def test_linear_share_equals_plain_least_squares():
    seen = pixels_of(300, 15)
    model = net(3.0 * torch.randn((30, 15), generator=torch.Generator().manual_seed(4)))
    layer = nn.Sequential(model.flatten, model.hidden1)
    with torch.no_grad():
        known, other = (layer(some).double() for some in (seen.fitted, seen.images.inputs))
    _, axes = torch.linalg.eigh((known - known.mean(0)).T @ (known - known.mean(0)))
    tail = axes.flip(1)[:, 11:]
    fitted, tried = (
        torch.cat([some.flatten(1).double(), torch.ones(len(some), 1).double()], 1)
        for some in (seen.fitted, seen.images.inputs)
    )
    missed = other @ tail - tried @ torch.linalg.lstsq(fitted, known @ tail).solution
    assert linear(model, seen) == pytest.approx(float(1 - missed.var(0).sum() / (other @ tail).var(0).sum()), abs=1e-9)


def test_weights_are_those_of_the_hidden_layer():
    assert weights_of(net(torch.tensor([[1.0, 2.0]]))).tolist() == [[1.0, 2.0]]


# --------------------------------------------------------------------------------- effects

CONTRAST = Contrast("age", "young to old", "old", "young")


def test_an_effect_of_two_arms_is_students():
    seen = {"old": {0: one(0.4), 1: one(0.36)}, "young": {0: one(0.2), 1: one(0.25)}}
    first, second = ([robust(each) for each in seen[arm].values()] for arm in ("old", "young"))
    found = effect(seen, [CONTRAST])
    interval = stats.ttest_ind(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert ratio(found).value == pytest.approx(math.sqrt(0.4 * 0.36 / 0.2 / 0.25), rel=2e-3)
    assert verdict(ratio(found)) == ("more" if found.low > 0 else "open")


def test_a_shared_arm_counts_twice():
    # (a − c + b − c)/2: variances 1/4 + 1/4 + 1 of s²/2
    seen = {name: {0: one(low), 1: one(low + 0.02)} for name, low in (("a", 0.4), ("b", 0.3), ("c", 0.2))}
    pair = [Contrast("f", "1", "a", "c"), Contrast("f", "2", "b", "c")]
    values = {name: [robust(each) for each in held.values()] for name, held in seen.items()}
    spread = math.sqrt(sum((first - last) ** 2 / 2 for first, last in values.values()) / 3)
    half = stats.t.ppf(0.975, 3) * spread * math.sqrt((0.25 + 0.25 + 1.0) / 2)
    found = effect(seen, pair)
    assert found.high - found.value == pytest.approx(half)


def test_single_seeds_have_no_interval_and_open_verdicts():
    seen = {"old": {0: one(0.4)}, "young": {0: one(0.2)}}
    found = ratio(effect(seen, [CONTRAST]))
    assert math.isnan(found.low)
    assert verdict(found) == "open"
    assert verdict(Estimate(2.0, 1.1, 3.0)) == "more"
    assert verdict(Estimate(0.5, 0.3, 0.9)) == "less"


def test_no_contrast_is_refused():
    with pytest.raises(ValueError) as refusal:
        effect({}, [])
    assert str(refusal.value) == "Expected a contrast or more, got none. Run both arms of one."


def test_contrasts_without_both_arms_are_left_out():
    assert there({"old": {0: one()}}, [CONTRAST]) == []
    assert there({"old": {0: one()}, "young": {0: one()}}, [CONTRAST], "sample") == []


# ---------------------------------------------------------------------------- associations


def planted(arms=60):
    """Log-odds follow `linear` alone; α follows it too, with noise of its own."""
    drawn = torch.randn((arms, 3), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    seen = {}
    for place, (cause, own, noise) in enumerate(drawn.tolist()):
        share = 1 / (1 + math.exp(1.5 * cause - 0.3 * noise))
        seen[f"arm {place}"] = {0: one(share, linear=cause, alpha=cause + own)}
    return seen


def test_a_planted_cause_is_told_from_what_goes_with_it():
    traits = {"linear": lambda each: each.linear, "α": lambda each: each.alpha}
    found = association(planted(), traits)
    assert found.arms == 60
    assert found.alone["α"].high < 0  # goes with it
    assert found.beside["α"].low < 0 < found.beside["α"].high  # and has no part of its own
    assert found.beside["linear"].high < -0.9
    assert found.explained > 0.9
    assert "(open)" in associated(found)


def test_partial_correlation_is_that_of_residuals():
    table = torch.randn((30, 3), generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    table[:, 0] += table[:, 1]
    rest = torch.stack([table[:, 2], torch.ones(30).double()], 1)
    left = [each - rest @ torch.linalg.lstsq(rest, each[:, None]).solution[:, 0] for each in table[:, :2].T]
    expected = float(torch.corrcoef(torch.stack(left))[0, 1])
    assert float(partial_correlations(table[None])[0, 0]) == pytest.approx(expected)
    assert float(correlations(table[None])[0, 1]) == pytest.approx(float(torch.corrcoef(table.T)[0, 2]))


def test_too_few_arms_are_associated_with_nothing():
    assert association(planted(9), {"linear": lambda each: each.linear}) is None
    assert associated(None) == ""


# ------------------------------------------------------------------------- words, picture


def known():
    shares = {"plain": 0.08, "spectral, epoch basis": 0.3, "spectral, step basis": 0.11}
    shares |= {f"spectral, {age} updates of {rows}": 0.27 for age in (5, 34) for rows in (4000, 1000)}
    return {
        f"shallow {name}": {seed: one(share + 0.01 * seed, slope=40 / share) for seed in (0, 1)}
        for name, share in shares.items()
    }


def test_reading_says_more_only_where_the_interval_does():
    told = reading(Found("small", {}), known())
    assert told[0].startswith("The penalty with the epoch basis, over plain training, robust accuracy at ε = 0.05, ")
    assert "(more robust)" in told[0]
    ages = next(sentence for sentence in told if sentence.startswith("More updates"))
    assert "5 to 34 updates, 4000 rows × 1 [" in ages
    assert ages.count("(open)") == 2
    assert "(more robust)" in ages
    assert reading(Found("small", {}), {}) == []
    assert factor_told({}, [], "x") == ""


def test_figure_has_a_row_for_each_contrast_and_a_mark_for_each_net():
    seen = known()
    figure = draw(Found("small", {}), seen)
    left, right = figure.axes
    rows = there(seen, why.contrasts("small"))
    assert len([line for line in left.get_lines() if line.get_gid() == "series"]) == len(rows)
    assert len([line for line in right.get_lines() if line.get_gid() == "net"]) == sum(map(len, seen.values()))
    assert left.get_xlabel() == "ratio of robust accuracies, ε = 0.05"


def test_figure_of_nothing_is_refused():
    with pytest.raises(ValueError) as refusal:
        draw(Found("small", {}), {})
    assert str(refusal.value) == "Expected at least one change of a setting to draw, got none. Measure before drawing."
