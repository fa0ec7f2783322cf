"""The user's question: measure everything about one representation or one model.

`measure` consumes `measuring`, a generator that says how far it is: whatever draws progress consumes that instead.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eigenfall import assemblies, parts
from eigenfall.activations import activations, margins, white_noise
from eigenfall.assemblies import Assembly
from eigenfall.check import need
from eigenfall.displaced import displacing
from eigenfall.exponents import measuring_responses
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.intervals import half_samples
from eigenfall.layers import OUTPUTS, device_of, hidden_names, layer_names, left_as_found, need_layers
from eigenfall.neighbourhoods import bounding, smoothing
from eigenfall.plans import Plan
from eigenfall.presets import PRESETS
from eigenfall.robustness import gathering, headline_stands, judged, of_reading
from eigenfall.robustness.sound import need_finite_weights
from eigenfall.rows import of_clean, of_curve, of_dimensions, of_gap, of_randomised, of_spectrum, of_verdicts
from eigenfall.spectra.pca import PCA
from eigenfall.stages import consumed
from eigenfall.surroundings import exploring, need_surroundings, spoiling
from eigenfall.types import Bounds, Evidence, LpBall, Measurement, Responses, Row, Split, Stage

Progressing = Generator[Stage, None, Measurement]


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _read(model: nn.Module, stimuli: Any, layers: Sequence[str], plan: Plan) -> dict[str, tuple[Responses, Any]]:
    """Responses of each layer to the stimuli, and to white noise if there is any, with the fit of their spectra."""
    fit, size = (plan.fits or (LeastSquares(),))[0], plan.batch_size
    found = {layer: (each, fit) for layer, each in activations(model, stimuli, layers, plan.view, size).items()}
    if plan.probe:
        noise, own = white_noise(stimuli, plan.probe, plan.seed), (plan.probe_fits or (fit,))[0]
        for layer, each in activations(model, noise, layers, plan.view, size).items():
            found[f"{layer} at white noise"] = each, own
    return found


def _spectra(found: Mapping[str, tuple[Responses, Any]], plan: Plan) -> Generator[Stage, None, dict[str, Any]]:
    """Spectrum and exponent of each layer, by each estimator that gives one; the first has the layer's own name."""
    spectra, fits, rows, notices = {}, {}, [], []
    estimators = plan.spectra or (PCA(),)
    for number, (layer, (responses, fit)) in enumerate(found.items()):
        for place, estimator in enumerate(estimators):
            key = f"{layer}, {parts.name_of(estimator)}" if place else layer
            yield Stage(f"spectrum of {key}", number, len(found))
            try:
                spectrum = estimator(responses, _seeded(plan.seed))
            except ValueError as reason:  # as of a layer whose units are all dead
                if plan.unfit == "refuse":
                    raise
                notices.append(f"WARN: {key}: no spectrum. {reason}")
                continue
            spectra[key] = spectrum
            notices += [f"{key}: {notice}" for notice in spectrum.notices]
            try:
                if plan.draws:
                    fits[key] = half_samples(responses, spectrum, estimator, fit, _seeded(plan.seed), draws=plan.draws)
                else:
                    fits[key] = fit(spectrum)
            except ValueError as reason:
                if plan.unfit == "refuse":
                    raise
                rows += of_dimensions(spectrum, key)
                notices.append(f"WARN: {key}: no exponent. {reason}")
                continue
            rows += of_spectrum(spectrum, fits[key], key, parts.semantics("fits", fit), parts.spell(fit))
            notices += [f"{key}: {notice}" for notice in fits[key].notices]
        notices += [f"{layer}: {count} {what} left out." for what, count in responses.dropped.items()]
    return {"spectra": spectra, "fits": fits, "rows": rows, "notices": notices}


def chosen_layers(model: nn.Module, plan: Plan) -> tuple[str, ...]:
    """The plan's layers, else the model's `hidden1`, `hidden2`, …; refused with a list of names if it has none."""
    if plan.layers is None:
        return ()
    layers = plan.layers or hidden_names(model)
    need(
        bool(layers),
        expected="the layers to measure, since none of this model's is named hidden1, hidden2, …",
        got="no layers",
        remedy=f"Choose among: {', '.join(layer_names(model))}.",
    )
    need_layers(model, [layer for layer in layers if layer != OUTPUTS])
    return layers


def measuring(
    model: nn.Module,
    stimuli: Any,
    examples: Split | None,
    plan: Plan,
    bounds: Bounds | None = (0.0, 1.0),
    unit: str = "pixel",
    name: str = "model",
    scale: Tensor | None = None,
    twin: nn.Module | None = None,
) -> Progressing:
    """Spectra over the stimuli; smoothness, accuracy, robustness and all else over the examples, piece by piece.

    Args:
        model: any module; left as it was found.
        stimuli: inputs as a tensor, an array, or an iterable of batches that can be iterated again.
        examples: what all but spectra is measured on, the first of them where a plan says how many; `None`: spectra
            only.
        plan: what is measured, and how.
        bounds: lowest and highest value of an input.
        unit: of the inputs.
        name: of the model.
        scale: pixels per unit for each of the examples, if the unit is not the pixel; distances are told in both.
        twin: an undefended model of the same inputs and classes (`robustness.gathering`).
    """
    need_finite_weights(model)
    need_surroundings(plan, None if examples is None else examples.inputs)
    layers = chosen_layers(model, plan)
    found = yield from _spectra(_read(model, stimuli, layers, plan) if layers else {}, plan)
    rows: list[Row] = list(found["rows"])
    fields: dict[str, Any] = {"spectra": found["spectra"], "fits": found["fits"], "notices": found["notices"]}
    evidence, verdicts = Evidence(curves={}), ()
    here = None
    if examples is not None:
        here = Split(examples.inputs.to(device_of(model)), examples.targets.to(device_of(model)))
        _need_classes(model, here)
        if twin is not None:
            _need_classes(twin, here)
        some = Split(here.inputs[: plan.smoothness_inputs], here.targets[: plan.smoothness_inputs])
        if len(some):
            _add(fields, rows, (yield from smoothing(model, some.inputs, layers, plan)))
            ball = LpBall(plan.norm, bounds, unit)
            _add(fields, rows, (yield from displacing(model, some, fields["smoothness"], ball, plan)))
        fields["margins"] = margins(model, here, plan.batch_size)
        rows.append(of_clean(fields["margins"] > 0))
    if here is not None and plan.preset != "none":
        attacked = Split(here.inputs[: plan.attacked_inputs], here.targets[: plan.attacked_inputs])
        evidence = yield from gathering(
            model,
            attacked,
            PRESETS[plan.preset],
            LpBall(plan.norm, bounds, unit),
            plan.epsilons,
            plan.noise,
            seed=plan.seed,
            batch_size=plan.batch_size,
            twin=twin,
        )
        if scale is not None:
            own = scale[: len(attacked)].cpu()
            curves = {key: replace(curve, scale=own) for key, curve in evidence.curves.items()}
            evidence = replace(evidence, curves=curves)
        verdicts = judged(PRESETS[plan.preset], evidence)
        stands = headline_stands(verdicts)
        for curve_name in PRESETS[plan.preset].shown:
            if curve_name in evidence.curves:
                verdict = ("" if stands else "FAIL") if curve_name == "headline" else ""
                rows += of_curve(curve_name, evidence.curves[curve_name], verdict)
        for reading_name in PRESETS[plan.preset].readings:
            if reading_name in evidence.curves:
                rows += of_reading(reading_name, evidence.curves[reading_name])
        rows += of_verdicts(verdicts)
        rows += of_gap(evidence.curves, "autoattack")
        rows += of_randomised(evidence.measured, norm=plan.norm, unit=unit)
    if here is not None:
        headline = evidence.curves.get("headline")
        if plan.smoothness_inputs:
            bound = yield from bounding(model, here.inputs[:1], fields["margins"], headline, unit, plan.seed)
            _add(fields, rows, bound)
        if plan.corruptions != ():
            some = Split(here.inputs[: plan.attacked_inputs], here.targets[: plan.attacked_inputs])
            _add(fields, rows, (yield from spoiling(model, some, plan)))
        if plan.planes:
            _add(fields, rows, (yield from exploring(model, here, plan, bounds, headline)))
    return Measurement(
        name=name,
        curves=evidence.curves,
        verdicts=tuple(verdicts),
        rows=tuple(rows),
        **{**fields, "notices": tuple(fields["notices"])},
    )


def _add(fields: dict[str, Any], rows: list[Row], found: Mapping[str, Any]) -> None:
    """Add what was found: its rows, its notices to those of before, and fields of a measurement."""
    rows.extend(found.get("rows", ()))
    fields["notices"] = [*fields["notices"], *found.get("notices", ())]
    fields.update({name: value for name, value in found.items() if name not in ("rows", "notices")})


def _need_classes(model: nn.Module, examples: Split) -> None:
    """Refuse targets that the model has no logit for, and outputs that are not one row of logits per input."""
    with left_as_found(model), torch.no_grad():
        outputs = model(examples.inputs[:2].to(device_of(model)))
    need(
        isinstance(outputs, Tensor) and outputs.ndim == 2 and len(outputs) == len(examples.inputs[:2]),
        expected="outputs as (batch, classes)",
        got=f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__,
        remedy="Return one row of logits per input.",
    )
    low, high = int(examples.targets.min()), int(examples.targets.max())
    need(
        low >= 0 and high < outputs.shape[1],
        expected=f"targets from 0 to {outputs.shape[1] - 1}, as the model has {outputs.shape[1]} outputs",
        got=f"targets from {low} to {high}",
        remedy="Number the classes from 0, or use a model with an output for each.",
    )


def responses_of(values: Any, name: str = "responses") -> Responses:
    """Responses from an array `(stimuli, units)` or `(repeats, stimuli, units)`, or a labelled assembly.

    Args:
        values: a tensor or array; or what has `dims`, `coords` and `values`, such as an xarray `DataArray` of
            presentation × neuroid with stimulus and repetition coordinates.
        name: what the responses are called; an assembly brings its own.

    Raises:
        ValueError: for another number of axes, or an assembly without stimuli.
    """
    if isinstance(values, Assembly):
        return assemblies.responses_of(values, name="" if name == "responses" else name)
    tensor = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values)
    need(
        tensor.ndim in (2, 3),
        expected="responses as (stimuli, units) or (repeats, stimuli, units)",
        got=f"shape {tuple(tensor.shape)}",
        remedy="Give one row per stimulus and one column per unit.",
    )
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    return Responses(values=tensor if tensor.ndim == 3 else tensor[None], name=name)


def _first(inputs: Any, targets: Any, count: int | None) -> Split | None:
    """The first inputs with their targets, from tensors, arrays or batches of pairs; `None` without targets."""
    if targets is not None:
        x, y = torch.as_tensor(inputs), torch.as_tensor(targets)
        need(
            y.ndim == 1 and len(x) == len(y) and len(y) > 0 and not y.is_floating_point() and not y.is_complex(),
            expected="a whole number as the class of each input",
            got=f"targets of shape {tuple(y.shape)} and type {y.dtype} for {len(x)} inputs",
            remedy="Give one class per input, numbered from 0.",
        )
        return Split(x[:count].float(), y[:count].long())
    if isinstance(inputs, Tensor | np.ndarray):
        return None
    found: list[tuple[Tensor, Tensor]] = []
    for batch in inputs:
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            return None
        found.append((torch.as_tensor(batch[0]).float(), torch.as_tensor(batch[1]).long()))
        if count is not None and sum(len(y) for _, y in found) >= count:
            break
    return Split(torch.cat([x for x, _ in found])[:count], torch.cat([y for _, y in found])[:count])


def measure(
    subject: nn.Module | Responses | Tensor | np.ndarray | Assembly,
    inputs: Any = None,
    targets: Any = None,
    *,
    layers: Sequence[str] = (),
    plan: Plan | None = None,
    bounds: Bounds | None = (0.0, 1.0),
    unit: str = "pixel",
    name: str = "",
    twin: nn.Module | None = None,
) -> Measurement:
    """Everything about one representation or one model.

    Args:
        subject: a model, or responses: `Responses`, a tensor or array `(stimuli, units)` or
            `(repeats, stimuli, units)`, or a labelled assembly (`responses_of`).
        inputs: for a model: a tensor or array `(inputs, ...)`, or an iterable of batches that can be iterated again,
            such as a `DataLoader`, also larger than memory. Spectra are over all of them.
        targets: class of each input; a `DataLoader` of pairs brings its own. Without targets: spectra only.
        layers: module paths; not needed for a model whose hidden layers are called hidden1, hidden2, ….
        plan: everything else that is measured, and how.
        bounds: lowest and highest value of an input; `None`: no bounds.
        unit: what one unit of an input is.
        name: what the result is called.
        twin: for a model that is defended in some way: one of the same inputs and classes that is not. Checks of
            gradient masking see more with it (`strong` and `standard` attack from it).

    Returns:
        A value with spectra, fits, smoothness, curves, verdicts, and every number as tidy rows; it prints well.

    Raises:
        ValueError: for inputs, targets or layers that do not fit, in one sentence.
    """
    plan = plan or Plan()
    if layers:
        plan = replace(plan, layers=tuple(layers))
    if not isinstance(subject, nn.Module):
        need(
            inputs is None and targets is None and twin is None,
            expected="a model with inputs, or responses alone",
            got=f"{type(subject).__name__} with {'a twin' if inputs is None and targets is None else 'inputs'}",
            remedy="Give a torch.nn.Module first, or the responses alone.",
        )
        responses = subject if isinstance(subject, Responses) else responses_of(subject, name or "responses")
        return consumed(measuring_responses(responses, plan))
    need(
        inputs is not None,
        expected="inputs for the model",
        got="none",
        remedy="Call measure(model, inputs, targets).",
    )
    wanted = [count for count in (plan.smoothness_inputs, plan.attacked_inputs) if count is not None]
    count = None if plan.attacked_inputs is None or targets is not None else max(wanted)
    examples = _first(inputs, targets, count)
    return consumed(measuring(subject, inputs, examples, plan, bounds, unit, name or type(subject).__name__, twin=twin))
