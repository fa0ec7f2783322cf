"""The user's questions, in a few lines of Python."""

import io
import re
from dataclasses import fields, replace

import matplotlib
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import eigenfall
from eigenfall.architectures.mlp import MLP
from eigenfall.attacks.pgd import PGD
from eigenfall.checks.transfer import Transfer
from eigenfall.commands import summary
from eigenfall.corruptions.fog import Fog
from eigenfall.datasets.digits import Digits
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.measurement import measure, measuring
from eigenfall.parts import spell
from eigenfall.plans import Plan
from eigenfall.presets import PRESETS
from eigenfall.records import load, save
from eigenfall.report import page
from eigenfall.settings import plan_settings
from eigenfall.smoothness.distance import Distance
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothness.logvolume import LogVolume
from eigenfall.types import Split

pytestmark = pytest.mark.usefixtures("few_steps")

PLAN = Plan(
    fits=(LeastSquares(first_rank=2),),
    draws=4,
    smoothness_inputs=30,
    attacked_inputs=60,
    epsilons=(0.05, 0.1),
    noise=(0.2,),
)


@pytest.fixture(scope="module")
def digits():
    return Digits()()


def test_a_dead_layer_is_told_and_all_else_is_measured(digits, tmp_path):
    dead = MLP(widths=(20, 12), activation="relu")(digits, torch.Generator().manual_seed(0))
    with torch.no_grad():
        dead.get_submodule("hidden2.transform").bias.fill_(-100)
    with pytest.raises(ValueError, match=r"^Expected hidden2 that vary over stimuli, got no variance in any unit\. "):
        measure(dead, digits.test.inputs, digits.test.targets, plan=PLAN)
    found = measure(dead, digits.test.inputs, digits.test.targets, plan=replace(PLAN, unfit="say"))
    assert list(found.spectra) == list(found.fits) == ["hidden1"]
    (said,) = [notice for notice in found.notices if "no spectrum" in notice]
    assert said.startswith("WARN: hidden2: no spectrum. Expected hidden2 that vary over stimuli, got no variance")
    assert found.curves["headline"].clean_correct.double().mean() < 0.3
    text = page.html([load(save(tmp_path, {"verb": "measure", "arm": "dead"}, found).path)], "A title", "eigenfall")
    assert "hidden2: no spectrum." in text


@pytest.fixture(scope="module")
def model(digits):
    return MLP(widths=(20, 12))(digits, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def found(model, digits):
    return measure(model, digits.test.inputs, digits.test.targets, plan=PLAN)


def only(rows, **says):
    (entry,) = [row for row in rows if all(row.get(name) == value for name, value in says.items())]
    return entry


def test_spectrum_smoothness_and_robustness_of_a_model(found, model, digits):
    assert set(found.spectra) == {"hidden1", "hidden2"}
    assert set(found.smoothness) == {"outputs", "hidden1", "hidden2"}
    assert {"headline", "margin", "dlr", "ce_std", "ce", "fgsm", "noise"} <= set(found.curves)
    with torch.no_grad():
        correct = (model(digits.test.inputs).argmax(1) == digits.test.targets).double().mean()
    assert only(found.rows, quantity="clean_accuracy")["value"] == pytest.approx(float(correct))


def test_spectra_are_those_of_the_hidden_values(found, model, digits):
    with torch.no_grad():
        hidden = model.hidden1(digits.test.inputs.flatten(1)).double().numpy()
    expected = np.linalg.eigvalsh(np.cov(hidden.T))[::-1]
    assert np.allclose(found.spectra["hidden1"].eigenvalues.numpy(), expected, rtol=1e-6)


def test_the_headline_is_the_worst_of_its_losses(found):
    headline = found.curves["headline"].worst(monotone=False)
    parts = torch.stack([found.curves[name].worst(monotone=False) for name in ("margin", "dlr", "ce_std")]).any(0)
    assert torch.equal(headline, parts)


def test_every_exponent_travels_with_its_window(found):
    for layer in ("hidden1", "hidden2"):
        row = only(found.rows, quantity="alpha", layer=layer)
        assert {"first_rank", "last_rank", "estimator", "target", "n", "low", "high", "method"} <= set(row)


def test_every_check_of_the_preset_is_there_and_the_others_are_said_not_to_have_run(found):
    assert {verdict.check for verdict in found.verdicts} == {*(f"p{n}" for n in range(1, 7)), *"abcdefghij"}
    assert {verdict.check for verdict in found.verdicts if verdict.verdict == "NOT RUN"} == set(
        "bcdef"
    )  # b and d of 60 images: rule R wants 200


def test_a_data_loader_gives_the_same_spectra(found, model, digits):
    loader = DataLoader(TensorDataset(digits.test.inputs, digits.test.targets), batch_size=64)
    streamed = measure(model, loader, plan=PLAN)
    for layer in ("hidden1", "hidden2"):
        assert torch.allclose(
            streamed.spectra[layer].eigenvalues, found.spectra[layer].eigenvalues, rtol=1e-9, atol=1e-14
        )
    assert torch.equal(streamed.curves["headline"].broken, found.curves["headline"].broken)


def test_arrays_are_taken_as_well(found, model, digits):
    again = measure(model, digits.test.inputs.numpy(), digits.test.targets.numpy(), plan=PLAN)
    assert again.rows == found.rows


def test_without_targets_spectra_alone(model, digits):
    alone = measure(model, digits.test.inputs, plan=PLAN)
    assert set(alone.spectra) == {"hidden1", "hidden2"}
    assert not alone.curves
    assert not alone.smoothness


def test_responses_alone():
    values = np.random.default_rng(0).normal(size=(200, 30)) * np.arange(1, 31) ** -0.5
    alone = measure(values, plan=Plan(fits=(LeastSquares(first_rank=2, last_rank=20),), simulations=2))
    assert torch.allclose(
        alone.spectra["pca"].eigenvalues, torch.linalg.eigvalsh(torch.from_numpy(np.cov(values.T))).flip(0)
    )


def test_identical_repeats_have_no_noise():
    values = np.random.default_rng(0).normal(size=(200, 30)) * np.arange(1, 31) ** -0.5
    plan = Plan(fits=(LeastSquares(first_rank=2, last_rank=20),), draws=0, simulations=0, subsets=0)
    alone, repeated = measure(values, plan=plan), measure(np.stack([values, values]), plan=plan)
    assert repeated.fits["cvpca"].alpha == pytest.approx(alone.fits["pca"].alpha)
    assert repeated.reliability.total == pytest.approx(1)


def test_it_prints_what_matters(found):
    text = str(found)
    assert "hidden1" in text
    assert "α" in text
    assert "clean accuracy" in text
    assert "over ranks" in text


def test_a_convolutional_map_is_read_as_asked(digits):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Conv2d(1, 6, 3)
            self.read = nn.Linear(6 * 36, 10)

        def forward(self, inputs):
            return self.read(self.map(inputs).tanh().flatten(1))

    torch.manual_seed(0)
    network, plan = Small(), Plan(fits=(LeastSquares(1, 6, clip=False),), draws=0)
    sizes = {}
    for view in ("flatten", "channels", "pool"):
        spectrum = measure(network, digits.test.inputs, layers=["map"], plan=Plan(**{**plan.__dict__, "view": view}))
        sizes[view] = (spectrum.spectra["map"].stimuli, spectrum.spectra["map"].units)
    assert sizes == {"flatten": (500, 216), "channels": (500 * 36, 6), "pool": (500, 6)}


def test_the_model_is_left_as_it_was(model, digits):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure(model, digits.test.inputs[:50], digits.test.targets[:50], plan=PLAN)
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.eval()


def test_projections_can_be_chosen(model, digits):
    plan = Plan(**{**PLAN.__dict__, "smoothness": (Frobenius(projections=8),), "preset": "none"})
    found = measure(model, digits.test.inputs, digits.test.targets, plan=plan)
    assert len(found.smoothness["outputs"].values) == 30


@pytest.fixture(scope="module")
def whole(model, digits):
    """Everything that can be measured of a model."""
    every = {"smoothness": (Frobenius(), LogVolume(), Distance()), "corruptions": (Fog(),), "planes": 10}
    return measure(model, digits.test.inputs, digits.test.targets, plan=replace(PLAN, norm="L2", **every))


def test_everything_is_reached_by_one_call(whole):
    assert {one.quantity for one in whole.smoothness.values()} == {
        "jacobian_norm",
        "log_volume",
        "first_order_distance",
    }
    assert list(whole.by_distance) == ["outputs", "outputs/log_volume"]
    assert whole.corruptions.correct.shape == (1, 5, 60)
    assert (whole.landscapes.planes, whole.landscape.plane.base) == (10, 0)
    assert whole.lipschitz.value >= float(whole.smoothness["outputs"].values.max()) / np.sqrt(10)
    quantities = {row["quantity"] for row in whole.rows}
    assert quantities >= {
        "log_volume", "first_order_distance", "distance_correlation", "lipschitz_bound", "certified_distance",
        "certified_accuracy", "mean_corruption_accuracy", "corruption_accuracy", "landscape_base_share",
    }  # fmt: skip


def test_what_was_not_asked_for_is_not_there(found):
    assert found.corruptions is None
    assert found.landscapes is None
    assert found.by_distance == {}
    assert found.lipschitz.value > 0  # it stands beside smoothness


def test_without_smoothness_there_is_no_bound(model, digits):
    plan = replace(PLAN, smoothness_inputs=0, preset="none")
    alone = measure(model, digits.test.inputs[:20], digits.test.targets[:20], plan=plan)
    assert alone.lipschitz is None
    assert alone.smoothness == {}


def test_what_cannot_be_corrupted_is_refused_before_a_spectrum(digits):
    flat = nn.Sequential(nn.Linear(64, 10))
    stages = measuring(flat, digits.test.inputs.flatten(1), Split(digits.test.inputs.flatten(1), digits.test.targets),
                       replace(PLAN, corruptions=(Fog(),), layers=("0",)))  # fmt: skip
    with pytest.raises(ValueError) as refusal:
        next(stages)
    assert str(refusal.value).startswith(
        "Expected images (channels, height, width) in [0, 1] to corrupt, got inputs of"
    )


def test_it_prints_the_whole_briefly(whole):
    lines = str(whole).splitlines()
    (bound,) = [line for line in lines if "Lipschitz" in line]
    assert bound == f"  Lipschitz bound of the outputs, L2: {whole.lipschitz.value:.4g}"
    assert sum("median log volume" in line for line in lines) == 3
    (spoiled,) = [line for line in lines if "corruptions" in line]
    share = whole.corruptions.overall
    assert spoiled == (
        f"  mean accuracy under corruptions (1, severities 1 2 3 4 5): {100 * share.value:.1f} % "
        f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
    )
    (planes,) = [line for line in lines if "on 10 planes" in line]
    assert f"± {whole.landscapes.extent:.3g} L2" in planes


def test_the_whole_comes_back_from_its_record(whole, tmp_path):
    record = save(tmp_path, {"verb": "measure", "arm": "whole", "seed": 0}, whole)
    again = load(record.path).measurement
    for field in fields(whole):
        assert (getattr(again, field.name) is None) == (getattr(whole, field.name) is None)
    for row, before in zip(again.rows, whole.rows, strict=True):  # a check that did not run has no number, NaN
        assert {**row, "value": 0} == {**before, "value": 0}
    assert again.by_distance == whole.by_distance
    assert again.landscapes == whole.landscapes
    assert again.lipschitz == whole.lipschitz
    assert torch.equal(again.corruptions.correct, whole.corruptions.correct)
    assert torch.equal(again.landscape.classes, whole.landscape.classes)
    assert str(again) == str(whole)


def test_the_whole_is_drawn_a_panel_for_each_part(whole):
    matplotlib.use("agg")
    panels = eigenfall.plot(whole)
    # two spectra, three measures, two by distance, the curves, corruptions, and a plane
    assert len(panels) == 2 + 3 + 2 + 1 + 1 + 1
    matplotlib.pyplot.close("all")


def test_white_noise_of_the_plans_seed_is_measured_beside_the_images(model, digits):
    plan = replace(PLAN, smoothness_inputs=0, preset="none", probe=400, probe_fits=(LeastSquares(3, 10),), seed=7)
    value, again = (measure(model, digits.test.inputs, plan=plan) for _ in range(2))
    assert list(value.spectra) == ["hidden1", "hidden2", "hidden1 at white noise", "hidden2 at white noise"]
    noise = torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(7))
    for layer in ("hidden1", "hidden2"):
        key = f"{layer} at white noise"
        alone = measure(model, noise, layers=[layer], plan=replace(plan, probe=0, fits=plan.probe_fits))
        assert torch.equal(value.spectra[key].eigenvalues, alone.spectra[layer].eigenvalues)
        assert torch.equal(value.spectra[key].eigenvalues, again.spectra[key].eigenvalues)
        assert value.fits[key].asked == (3, 10)
        assert value.fits[layer].asked == (2, 500)
        assert only(value.rows, layer=key, quantity="alpha")["value"] == value.fits[key].alpha
        assert only(value.rows, layer=key, quantity="alpha")["n"] == 400


def test_white_noise_of_linear_units_has_the_spectrum_of_their_weights():
    """x ~ N(0, I) makes cov(xW) = WᵀW: eigenvalues are W's singular values squared, up to √(2/n) each."""
    weights = torch.randn(6, 30, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7)[:, None]
    layer = nn.Linear(30, 6, bias=False)
    layer.weight.data = weights
    plan = replace(PLAN, probe=20_000, probe_fits=(LeastSquares(1, 4),), preset="none")
    value = measure(nn.Sequential(layer), torch.rand(50, 30), layers=["0"], plan=plan)
    found, exact = value.spectra["0 at white noise"].eigenvalues, torch.linalg.svdvals(weights.double()).square()
    assert torch.allclose(found, exact, rtol=4 * np.sqrt(2 / 20_000), atol=0)


def test_a_plan_without_white_noise_has_the_settings_that_it_had_before():
    asked = plan_settings(replace(PLAN, probe=10, probe_fits=(LeastSquares(3, 10),)))
    assert (asked["probe"], asked["probe_fits"]) == (10, [spell(LeastSquares(3, 10))])
    assert asked.keys() - plan_settings(PLAN).keys() == {"probe", "probe_fits"}


# --------------------------------------------------------------------------- spectra without a fit

UNFIT = (
    "Expected a window of at least three ranks, got 0: it starts at rank 2, and the numerical rank is 1 with S = 500 "
    "stimuli and 8 units. Start the window earlier, or record more stimuli."
)


@pytest.fixture(scope="module")
def narrow():
    """A layer of 12 units, then one of 8 whose values are all multiples of one another: its rank is 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = {"flatten": nn.Flatten(), "wide": nn.Linear(64, 12), "narrow": nn.Linear(12, 8, bias=False)}
        layers["narrow"].weight.data = torch.outer(2.0 ** torch.arange(8), torch.randn(12))
        layers["readout"] = nn.Linear(8, 10)
    model = nn.Sequential()
    for name, module in layers.items():
        model.add_module(name, module)
    return model


LAYERED = replace(PLAN, layers=("wide", "narrow"), preset="none", smoothness_inputs=10)


@pytest.mark.parametrize("draws", [0, 4])
def test_a_layer_that_cannot_be_fitted_ends_the_measurement_by_default(narrow, digits, draws):
    with pytest.raises(ValueError) as refusal:
        measure(narrow, digits.test.inputs, digits.test.targets, plan=replace(LAYERED, draws=draws))
    assert str(refusal.value) == UNFIT


@pytest.fixture(scope="module")
def unfit(narrow, digits):
    return measure(narrow, digits.test.inputs, digits.test.targets, plan=replace(LAYERED, unfit="say"))


def test_or_it_is_said_and_all_else_is_measured(unfit, narrow, digits):
    assert list(unfit.spectra) == ["wide", "narrow"]
    assert unfit.spectra["narrow"].numerical_rank == 1
    assert list(unfit.fits) == ["wide"]
    assert [notice for notice in unfit.notices if "narrow" in notice] == [f"WARN: narrow: no exponent. {UNFIT}"]
    told = {row["quantity"]: row["value"] for row in unfit.rows if row.get("layer") == "narrow"}
    assert "alpha" not in told
    assert "straightness" not in told
    assert told["participation_ratio"] == pytest.approx(1.0)
    assert told["rank_at_90_percent"] == 1
    alone = measure(narrow, digits.test.inputs, digits.test.targets, plan=replace(LAYERED, layers=("wide",)))
    assert torch.equal(alone.spectra["wide"].eigenvalues, unfit.spectra["wide"].eigenvalues)
    assert alone.fits["wide"] == unfit.fits["wide"]
    assert told.keys() == {"participation_ratio", "rank_at_90_percent", "lipschitz_bound"} | {
        quantity for quantity in told if "jacobian" in quantity
    }
    others, expected = ([row for row in one.rows if row.get("layer") != "narrow"] for one in (unfit, alone))
    assert others == expected


def test_where_all_can_be_fitted_saying_changes_nothing(model, digits):
    plan = replace(PLAN, preset="none", smoothness_inputs=0)
    refusing, saying = (
        measure(model, digits.test.inputs, plan=replace(plan, unfit=unfit)) for unfit in ("refuse", "say")
    )
    assert refusing.rows == saying.rows
    assert refusing.notices == saying.notices


def test_a_plan_that_refuses_has_the_settings_that_it_had_before():
    saying = plan_settings(replace(PLAN, unfit="say"))
    assert saying["unfit"] == "say"
    assert saying.keys() - plan_settings(PLAN).keys() == {"unfit"}


def test_a_spectrum_without_an_exponent_is_shown_and_told(unfit, narrow, digits, tmp_path):
    whole = measure(narrow, digits.test.inputs, digits.test.targets, plan=replace(LAYERED, layers=("wide",), seed=1))
    renamed = {"spectra": {"narrow": whole.spectra["wide"]}, "fits": {"narrow": whole.fits["wide"]}}
    found = [
        load(save(tmp_path, {"verb": "measure", "arm": arm, "seed": seed}, value).path)
        for arm, seed, value in (
            ("without", 0, unfit),
            ("without", 1, unfit),
            ("mixed", 0, unfit),
            ("mixed", 1, replace(whole, **renamed)),
        )
    ]
    assert list(found[0].measurement.fits) == ["wide"]
    for some in (found[:1], found[:2], found[2:], found):
        text = page.html(some, "A title", "eigenfall measure")
        (said,) = re.findall(r"<li>(.*?)</li>", text[text.index("no exponent") - 200 :], re.DOTALL)[:1]
        assert said.startswith('<b class="box warn">WARN</b> <b>')
        assert "narrow: no exponent. Expected a window of at least three ranks" in said
        assert "Eigenvalues of narrow against rank." in text
        assert "nan" not in text.partition("How it was made")[0].lower().replace("finance", "")
        console = Console(record=True, width=160, file=io.StringIO())
        summary.show(some, "A title", console)
        assert "α wide" in console.export_text()
    matplotlib.use("agg")
    assert len(eigenfall.plot(unfit)) >= 3
    matplotlib.pyplot.close("all")
    assert "narrow: no exponent." in str(unfit)


def test_a_model_without_inputs_is_refused(model):
    with pytest.raises(ValueError) as refusal:
        measure(model)
    assert str(refusal.value) == "Expected inputs for the model, got none. Call measure(model, inputs, targets)."


def test_responses_with_inputs_are_refused():
    with pytest.raises(ValueError) as refusal:
        measure(np.zeros((3, 2)), np.zeros((3, 2)))
    assert str(refusal.value) == (
        "Expected a model with inputs, or responses alone, got ndarray with inputs. Give a torch.nn.Module first, or "
        "the responses alone."
    )


def test_responses_have_no_twin(model):
    with pytest.raises(ValueError) as refusal:
        measure(np.zeros((3, 2)), twin=model)
    assert str(refusal.value) == (
        "Expected a model with inputs, or responses alone, got ndarray with a twin. Give a torch.nn.Module first, or "
        "the responses alone."
    )


def test_transferred_attacks_come_from_the_twin_if_there_is_one(model, digits, monkeypatch):
    quick = PRESETS["quick"]
    short = {"margin": PGD(loss="margin", steps=5)}
    bundle = replace(quick, attacks={**quick.attacks, **short}, headline=("margin",), checks=(Transfer(),))
    monkeypatch.setitem(PRESETS, "quick", bundle)
    plan = replace(PLAN, smoothness_inputs=0, attacked_inputs=40, noise=())
    data = digits.test.inputs, digits.test.targets
    told = {}
    for name, twin in (("twin", MLP(widths=(8,))(digits, torch.Generator().manual_seed(1))), ("alone", None)):
        found = measure(model, *data, plan=plan, twin=twin)
        told[name] = {verdict.check: verdict.finding for verdict in found.verdicts}["f"]
    assert "an undefended twin" in told["twin"]
    assert "a net distilled on" in told["alone"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attacked_inputs": 0}, "Expected at least 1 as attacked inputs, got 0. Leave it out for the default, 1000."),
        ({"probe": -1}, "Expected at least 0 as probe, got -1. Leave it out for the default, 0."),
        ({"redraws": -3}, "Expected at least 0 as redraws, got -3. Leave it out for the default, 0."),
        ({"seed": -1}, "Expected at least 0 as seed, got -1. Leave it out for the default, 0."),
        (
            {"epsilons": (0.1, -0.1)},
            "Expected epsilons that are not negative and ascend, got 0.1, -0.1. Give each once, smallest first.",
        ),
        (
            {"noise": (0.1, 0.1)},
            "Expected deviations of the noise that are not negative and ascend, got 0.1, 0.1. Give each once, "
            "smallest first.",
        ),
    ],
)
def test_a_plan_refuses_counts_and_budgets_before_anything_is_run(settings, message):
    with pytest.raises(ValueError) as refusal:
        Plan(**settings)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("targets", "got"),
    [
        (torch.zeros(499, dtype=torch.long), "shape (499,) and type torch.int64"),
        (torch.zeros(500), "shape (500,) and type torch.float32"),
        (torch.zeros(500, 10, dtype=torch.long), "shape (500, 10) and type torch.int64"),
    ],
)
def test_targets_that_are_no_classes_are_refused(model, digits, targets, got):
    with pytest.raises(ValueError) as refusal:
        measure(model, digits.test.inputs, targets, plan=PLAN)
    assert str(refusal.value) == (
        f"Expected a whole number as the class of each input, got targets of {got} for 500 inputs. Give one class per "
        "input, numbered from 0."
    )


def test_targets_that_the_model_has_no_output_for_are_refused(model, digits):
    with pytest.raises(ValueError) as refusal:
        measure(model, digits.test.inputs, digits.test.targets + 1, plan=PLAN)
    assert str(refusal.value) == (
        "Expected targets from 0 to 9, as the model has 10 outputs, got targets from 1 to 10. Number the classes from "
        "0, or use a model with an output for each."
    )


def test_outputs_that_are_no_logits_are_refused(digits):
    maps = nn.Conv2d(1, 3, 3)
    with pytest.raises(ValueError) as refusal:
        measure(nn.Sequential(maps), digits.test.inputs, digits.test.targets, layers=["0"], plan=PLAN)
    assert str(refusal.value) == (
        "Expected outputs as (batch, classes), got shape (2, 3, 6, 6). Return one row of logits per input."
    )


def test_the_top_level_is_the_same_function():
    assert eigenfall.measure is measure


def test_other_peoples_models_must_name_their_layers(digits):
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError) as refusal:
        measure(bare, digits.test.inputs, digits.test.targets)
    assert str(refusal.value) == (
        "Expected the layers to measure, since none of this model's is named hidden1, hidden2, …, got no layers. "
        "Choose among: 0, 1."
    )
