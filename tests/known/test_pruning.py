"""Pruning by variance: planted humps, the published slip, ranges, and files."""

import math

import pytest
import safetensors.torch
import torch
from exact import refusal, seeded
from torch.testing import assert_close

from eigenfall.convergence import Gates
from eigenfall.packing import safetensors_of
from eigenfall.pruning import PRESETS, Pruning, removed, zeroed
from eigenfall.types import Mixture

N = 60


def layer(places, inputs=N, seed=5):
    """Units whose weights have exactly these ln variances."""
    weights = torch.randn(len(places), inputs, generator=seeded(seed), dtype=torch.float64)
    weights = weights - weights.mean(1, keepdim=True)
    return weights / weights.std(1, correction=0, keepdim=True) * torch.as_tensor(places).exp().sqrt()[:, None]


def hump(units, middle=-7.1, spread=0.1, seed=0):
    return middle + spread * torch.randn(units, generator=seeded(seed), dtype=torch.float64)


def skewed(units, seed=0):
    """A Gumbel hump: one hump, and no normal."""
    uniform = torch.rand(units, generator=seeded(seed), dtype=torch.float64)
    return -7.1 - 0.1 * (-uniform.log()).log()


# ------------------------------------------------------------------------------- one hump


@pytest.mark.parametrize("spread", [0.1, 0.3])
@pytest.mark.parametrize("rule", [Pruning(), PRESETS["holzhausen2024_accepted"]], ids=["default", "accepted"])
def test_one_hump_prunes_nothing(rule, spread):
    found = rule(layer(hump(2000, spread=spread)))
    assert found.kept.all()
    assert found.cutoff == math.inf
    assert str(found) == "0 of 2000 units pruned: the variances have one component."


def test_the_published_slip_prunes_one_hump():
    places = hump(2000, spread=0.3)
    found = PRESETS["holzhausen2024"](layer(places))
    assert found.count > 1000
    assert len(found.mixture.means) == 2
    assert found.cutoff == pytest.approx(math.exp(sum(found.mixture.means) / 2))
    assert torch.equal(found.kept, places < math.log(found.cutoff))


def test_a_skewed_hump_is_split_but_has_no_valley():
    found = Pruning()(layer(skewed(2000)))
    assert len(found.mixture.means) > 1
    assert found.kept.all()
    assert found.reason == f"{len(found.mixture.means)} components, but no second hump above the highest"
    assert Pruning(cutoff="middle")(layer(skewed(2000))).count > 0  # what the valley is for


# ------------------------------------------------------------------------------ two humps


def test_planted_noise_goes_and_nothing_else():
    places = torch.cat([hump(500), hump(30, middle=-5.5, seed=1)])[torch.randperm(530, generator=seeded(2))]
    found = Pruning()(layer(places))
    assert torch.equal(found.kept, places < -6.3)
    assert found.count == 30
    assert -6.9 < math.log(found.cutoff) < -5.7
    assert_close(found.variances, places.exp())
    assert found.mixture.means == pytest.approx((-7.1, -5.5), abs=0.05)
    assert found.mixture.spreads == pytest.approx((0.1, 0.1), abs=0.03)
    assert found.mixture.shares == pytest.approx((500 / 530, 30 / 530), abs=0.01)
    assert found.mixture.fitted == 530


def test_the_means_of_the_source_miss_noise_above_a_narrow_hump():
    """Its second component starts where no unit is, is left without any, and is refused: the third is never tried."""
    places = torch.cat([hump(500), hump(30, middle=-5.5, seed=1)])
    assert PRESETS["holzhausen2024_accepted"](layer(places)).kept.all()


def test_noise_of_two_humps_goes_whole():
    places = torch.cat([hump(500), hump(40, middle=-5.5, seed=1), hump(40, middle=-4.8, seed=2)])
    found = Pruning()(layer(places))
    assert found.kept.tolist() == [True] * 500 + [False] * 80
    assert Pruning(cutoff="middle")(layer(places)).count == 40  # the middle of the two largest means is above the first


def test_humps_of_any_place_and_scale():
    """Doubling all weights moves the cutoff along: nothing depends on the size of a layer."""
    places = torch.cat([hump(300), hump(30, middle=-5.5, seed=1)])
    first, second = Pruning()(layer(places)), Pruning()(2**6 * layer(places))
    assert torch.equal(first.kept, second.kept)
    assert second.cutoff / first.cutoff == pytest.approx(2**12, rel=1e-2)


def test_units_come_in_any_order():
    places = torch.cat([hump(300), hump(30, middle=-5.5, seed=1)])
    order = torch.randperm(330, generator=seeded(0))
    assert torch.equal(Pruning()(layer(places)[order]).kept, Pruning()(layer(places)).kept[order])


def test_noise_below_is_kept():
    """Units that vary less than the rest are no noise of learning: a cutoff lies above the highest hump."""
    found = Pruning()(layer(torch.cat([hump(300), hump(20, middle=-9, seed=1)])))
    assert found.kept.all()
    assert len(found.mixture.means) == 2


# ------------------------------------------------------------------------------- settings


def test_the_cutoff_of_the_first_version():
    weights = layer(torch.tensor([0.0014, 0.0016, 0.0022, 1.0], dtype=torch.float64).log())
    found = PRESETS["iclr2024"](weights)
    assert found.kept.tolist() == [True, False, False, False]
    assert found.mixture is None
    assert str(found) == "3 of 4 units pruned: those of a variance above 0.0015."
    at = torch.tensor([[1.0, -1.0]])
    assert Pruning(variance=1.0)(at).kept.tolist() == [True]  # larger, not as large
    assert Pruning(variance=math.nextafter(1.0, 0.0))(at).kept.tolist() == [False]


def test_units_outside_the_range_stay_out_of_the_mixture_and_are_cut_all_the_same():
    places = torch.cat([hump(500), hump(60, middle=-5.5, seed=1), torch.tensor([0.0, -20.0])])
    rule = Pruning(lowest=-9.0, highest=-3.0)
    found = rule(layer(places))
    assert found.mixture.fitted == 560
    assert found.kept.tolist() == [True] * 500 + [False] * 61 + [True]


def test_constant_units_are_kept():
    weights = torch.cat([layer(hump(300)), torch.full((2, N), 0.25, dtype=torch.float64)])
    found = Pruning()(weights)
    assert found.kept.all()
    assert found.mixture.fitted == 300
    assert found.variances[-2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("units", [1, 2, 3, 5])
@pytest.mark.parametrize("rule", [Pruning(), *PRESETS.values()])
def test_few_or_equal_units(rule, units):
    places = torch.full((units,), -8.0, dtype=torch.float64)
    assert rule(layer(places)).kept.all()
    assert Pruning()(torch.zeros(units, 4)).kept.all()
    assert str(Pruning()(torch.zeros(units, 4))).endswith("units pruned: too few units to fit a mixture to.")


def test_the_likelihood_is_that_of_the_mixture():
    places = torch.cat([hump(200), hump(30, middle=-5.5, seed=1)])
    found = Pruning().fitted(places)
    total = sum(
        math.log(
            sum(
                share / spread / math.sqrt(2 * math.pi) * math.exp(-(((x - mean) / spread) ** 2) / 2)
                for mean, spread, share in zip(found.means, found.spreads, found.shares)
            )
        )
        for x in places.tolist()
    )
    assert found.log_likelihood == pytest.approx(total, rel=1e-9)


def test_the_valley_of_two_normals_alike_is_their_middle():
    cutoff, _ = Pruning().cut(Mixture((-7.0, -5.0), (0.3, 0.3), (0.5000001, 0.4999999), 100, 0.0))
    assert cutoff == pytest.approx(-6, abs=1e-3)
    shallow = Mixture((-7.0, -6.2), (0.3, 0.3), (0.6, 0.4), 100, 0.0)
    assert Pruning().cut(shallow)[0] == math.inf
    assert Pruning(cutoff="middle").cut(shallow)[0] == pytest.approx(-6.6)


# ------------------------------------------------------------------- what is done with it


def test_removed_and_zeroed():
    weights, kept = torch.arange(12.0).reshape(4, 3), torch.tensor([True, False, True, True])
    assert removed(weights, kept).tolist() == [[0, 1, 2], [6, 7, 8], [9, 10, 11]]
    assert zeroed(weights, kept).tolist() == [[0, 1, 2], [0, 0, 0], [6, 7, 8], [9, 10, 11]]
    assert weights[1].tolist() == [3, 4, 5]
    readout = torch.arange(8.0).reshape(2, 4)
    assert removed(readout, kept, axis=-1).tolist() == [[0, 2, 3], [4, 6, 7]]
    assert zeroed(readout, kept, axis=-1).tolist() == [[0, 0, 2, 3], [4, 0, 6, 7]]
    seeds = weights.repeat(2, 1, 1)
    assert removed(seeds, kept).shape == (2, 3, 3)


def test_removing_a_unit_and_its_readout_changes_no_other_output():
    weights, readout = torch.randn(5, 7, generator=seeded(0)).double(), torch.randn(3, 5, generator=seeded(1)).double()
    kept = torch.tensor([True, True, False, True, False])
    images = torch.rand(9, 7, dtype=torch.float64, generator=seeded(2))
    without = (images @ removed(weights, kept).T).relu() @ removed(readout, kept, axis=-1).T
    assert_close(without, (images @ zeroed(weights, kept).T).relu() @ readout.T)


def test_saved_loaded_and_pruned(tmp_path):
    """One format between steps: what is loaded is pruned as what was saved."""
    weights = layer(torch.cat([hump(300), hump(30, middle=-5.5, seed=1)])).float()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors_of({"weights": weights}))
    loaded = safetensors.torch.load(path.read_bytes())["weights"]
    assert torch.equal(loaded, weights)
    found = Pruning()(loaded)
    assert torch.equal(found.kept, Pruning()(weights).kept)
    for change in (removed, zeroed):
        pruned = change(loaded, found.kept)
        path.write_bytes(safetensors_of({"weights": pruned, "kept": found.kept}))
        again = safetensors.torch.load(path.read_bytes())
        assert torch.equal(again["weights"], pruned)
        assert torch.equal(change(weights, again["kept"]), pruned)
    assert Pruning()(removed(loaded, found.kept)).kept.all()  # pruned once is pruned


def test_gates_after_pruning_see_the_units_that_are_left():
    weights = torch.nn.functional.normalize(layer(torch.full((40,), -7.0, dtype=torch.float64)))
    weights[:5] *= 30
    found = Pruning()(weights)
    assert found.count == 5
    assert not Gates()(weights, 2.0).norms_hold
    assert Gates()(removed(weights, found.kept), 2.0).norms_hold


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: Pruning()(torch.zeros(0, 3)),
            "Expected finite weights of at least one unit, got shape (0, 3). Give a layer that has learnt, "
            "(units, inputs).",
        ),
        (
            lambda: Pruning()(torch.full((2, 3), math.nan)),
            "Expected finite weights of at least one unit, got NaN or infinity. Give a layer that has learnt, "
            "(units, inputs).",
        ),
        (
            lambda: Pruning(means=(-7.0,))(torch.ones(2, 3)),
            "Expected a mean for each of 4 components, got 1. Lower `components`, or leave `means` out.",
        ),
        (
            lambda: Pruning(components=0)(torch.ones(2, 3)),
            "Expected at least one component, got 0. 1 prunes nothing.",
        ),
        (
            lambda: removed(torch.ones(2, 3), torch.tensor([True, False, True])),
            "Expected weights of 3 units along axis -2, got shape (2, 3). A readout (classes, units) has them along "
            "axis -1.",
        ),
        (
            lambda: zeroed(torch.ones(3), torch.tensor([True, False, True])),
            "Expected weights of 3 units along axis -2, got shape (3,). A readout (classes, units) has them along "
            "axis -1.",
        ),
        (
            lambda: removed(torch.ones(2, 3), torch.tensor([False, False])),
            "Expected a unit to keep, got none. No layer would be left: raise the cutoff.",
        ),
    ],
)
def test_refusals(call, sentence):
    assert refusal(call) == sentence
