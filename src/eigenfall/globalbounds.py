"""Lipschitz bound of a feed-forward model in L2, from the bounds of its layers.

    a layer after another   L₁ · L₂            a sum of two branches   L₁ + L₂  (a residual block: 1 + L)
    branches side by side   √(L₁² + L₂²)       linear, convolution     upper bounds of `eigenfall.operatornorms`
    batch-norm in eval      max |γ|/√(var + ε)     ReLU, tanh, dropout in eval, a new shape   1;   sigmoid   ¼
    whitening in eval       ‖W‖, from statistics that are remembered
    max-pooling             √(how many windows see a place)     average-pooling   that, over √(places in a window)

Source: Szegedy et al. 2014, arXiv:1312.6199, section 4.3; sums and pooling after Gouk et al. 2021, arXiv:1804.04368.
Differs from the sources: norms of convolutions themselves; and what is not known to have a bound is refused by its
name, never taken for 1. A power of a ReLU has none, for its slope grows with its input.
"""

import math
import operator
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F

from eigenfall.blocks import Normalise
from eigenfall.check import given, need
from eigenfall.layers import left_as_found
from eigenfall.operatornorms import convolution_bound, linear_norm
from eigenfall.types import LipschitzBound
from eigenfall.whitening import Whiten

ONE = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.ReLU, nn.ReLU6, nn.Tanh, nn.Hardtanh, nn.Softplus,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.ConstantPad3d,
)  # fmt: skip
"""Modules that lengthen no difference, in eval mode."""

STILL: tuple[Any, ...] = (
    torch.relu, F.relu, torch.tanh, F.tanh, F.softplus, F.relu6, F.hardtanh, torch.flatten, torch.reshape, operator.neg,
    torch.neg, "relu", "tanh", "flatten", "view", "reshape", "contiguous", "neg", "squeeze", "unsqueeze", "clamp",
)  # fmt: skip
"""Functions and methods that lengthen no difference in their first argument, the others being constant."""

ADDED: tuple[Any, ...] = (operator.add, operator.iadd, operator.sub, torch.add, torch.sub, "add", "sub")
TIMES: tuple[Any, ...] = (operator.mul, torch.mul, "mul")
OVER: tuple[Any, ...] = (operator.truediv, torch.div, "div")
Bound = float | None
"""Of the map from the input to a step; `None`: the step does not depend on the input."""


def lipschitz_bound(model: nn.Module, inputs: Float[Tensor, "inputs ..."]) -> LipschitzBound:
    """Bound of ‖f(x) − f(x')‖₂/‖x − x'‖₂ over all inputs, whether inside their bounds or not.

    Args:
        model: any module that torch.fx can trace and whose steps are known; it is left as it was found.
        inputs: one or more, for their shape alone.

    Returns:
        The bound, and that of the map to each step. It can be far above the truth, and is never below it, but for
        rounding.

    Raises:
        ValueError: if the model cannot be traced, or a step of it has no known bound.
    """
    need(len(inputs) >= 1, expected="at least one input", got="none", remedy="Give some, for their shape.")
    with left_as_found(model), torch.no_grad():
        try:
            traced = fx.GraphModule(model, _Tracer().trace(model))
        except Exception as reason:  # fx raises whatever the model's own code does with its proxies
            raise ValueError(
                "Expected a model whose forward pass torch.fx can trace, got "
                f"{type(reason).__name__}: {(str(reason).strip() or 'no reason').splitlines()[0].rstrip('.')}. "
                "Write it without branches that depend on values."
            ) from reason
        run = fx.Interpreter(traced, garbage_collect_values=False)
        run.run(inputs[:1].repeat(2, *[1] * (inputs.ndim - 1)))
        bounds: dict[fx.Node, Bound] = {}
        for node in traced.graph.nodes:
            if node.op == "output":
                continue
            bounds[node] = _of_node(node, traced, run.env, bounds)
            if bounds[node] is not None:
                value = run.env[node]
                if not (isinstance(value, Tensor) and value.ndim >= 1 and len(value) == 2):
                    _refuse(node, "mixes rows, or returns no tensor")
    last = traced.graph.output_node().args[0]
    found = bounds.get(last) if isinstance(last, fx.Node) else None
    value = given(
        found,
        expected="a model that returns one tensor which depends on its input",
        got=f"{last}",
        remedy="Wrap it in a module that returns its logits.",
    )
    steps = {node.name: bound for node, bound in bounds.items() if bound is not None and node.op != "placeholder"}
    return LipschitzBound(value, steps)


class _Tracer(fx.Tracer):
    """torch's own modules, and ours that have a bound, are steps; others are looked into."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalise | Whiten) or fx.Tracer.is_leaf_module(self, m, module_qualified_name)


def _refuse(node: fx.Node, why: str) -> NoReturn:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    raise ValueError(
        f"Expected steps whose Lipschitz bound is known, got {name!r}, which {why}. "
        "Measure from below with the part `lipschitz` instead."
    )


def _of_node(
    node: fx.Node, traced: fx.GraphModule, seen: Mapping[fx.Node, Any], bounds: Mapping[fx.Node, Bound]
) -> Bound:
    """Bound of the map from the model's input to a step."""
    if node.op == "placeholder":
        return 1.0 if node is next(iter(traced.graph.nodes)) else None
    depends = [argument for argument in node.all_input_nodes if bounds[argument] is not None]
    if not depends:
        return None
    first: Any = node.args[0] if node.args else None
    of_first = bounds[first] if isinstance(first, fx.Node) else None
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        factor = _of_module(module, seen[depends[0]]) if len(depends) == 1 and of_first is not None else None
        if factor is None or of_first is None:
            _refuse(node, f"is a {type(module).__name__}{_because(module)}")
        return of_first * factor
    return _of_call(node, seen, bounds, of_first)


def _of_call(node: fx.Node, seen: Mapping[fx.Node, Any], bounds: Mapping[fx.Node, Bound], of_first: Bound) -> Bound:
    """Bound of a function's or a method's result."""
    target: Any = node.target
    arguments: Any = node.args
    depends = [argument for argument in node.all_input_nodes if bounds[argument] is not None]
    if target in ("size", "dim") or (target is getattr and arguments[1] in ("shape", "device", "dtype", "ndim")):
        return None
    if target in STILL and len(depends) == 1 and of_first is not None:
        return of_first
    kept = all(seen[side].shape == seen[node].shape for side in depends)  # broadcasting repeats, and lengthens
    if target in ADDED and len(arguments) == 2 and not node.kwargs and kept:
        changed = arguments[0]
        if target is not operator.iadd or (isinstance(changed, fx.Node) and len(changed.users) == 1):
            return sum(bounds[side] or 0.0 for side in arguments if isinstance(side, fx.Node))
    if target in (*TIMES, *OVER) and len(arguments) == 2 and len(depends) == 1 and not node.kwargs and kept:
        constant = arguments[1] if arguments[0] is depends[0] else arguments[0]
        if constant is not depends[0] and (arguments[0] is depends[0] or target in TIMES):
            value = torch.as_tensor(seen[constant] if isinstance(constant, fx.Node) else constant).double().abs()
            return (bounds[depends[0]] or 0.0) * float(value.max() if target in TIMES else (1 / value).max())
    if target in (torch.sigmoid, F.sigmoid, "sigmoid") and of_first is not None:
        return of_first / 4
    if target is F.dropout and of_first is not None and not node.kwargs.get("training", True):
        return of_first
    if target in (torch.cat, torch.concat) and _along(node) != 0:
        return math.hypot(*(bounds[side] or 0.0 for side in arguments[0]))
    _refuse(node, "is not among them")


def _along(node: fx.Node) -> Any:
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)


def _because(module: nn.Module) -> str:
    """What a refused module is short of."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return " that takes the mean of its batch"
    if isinstance(module, Whiten):
        return " that takes the covariance of its batch"
    if isinstance(module, nn.AvgPool2d | nn.MaxPool2d | nn.AdaptiveAvgPool2d):
        return " with windows of several sizes"
    return ""


def _of_module(module: nn.Module, inputs: Any) -> float | None:
    """Bound of one of torch's own modules in eval mode; `None`: not known."""
    if isinstance(module, ONE):
        return 1.0
    if isinstance(module, Normalise):
        return float((1 / module.sd.double().abs()).max())
    if isinstance(module, Whiten):
        return None if module.of_batch else float(torch.linalg.matrix_norm(module.matrix(), 2))
    if isinstance(module, nn.Sigmoid):
        return 0.25
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope))
    if isinstance(module, nn.Linear):
        return linear_norm(module).upper
    if isinstance(module, nn.Conv2d):
        return convolution_bound(module, (int(inputs.shape[2]), int(inputs.shape[3])))
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        if module.running_var is None:
            return None
        slope = (module.running_var.double() + module.eps).rsqrt()
        return float((slope if module.weight is None else slope * module.weight.detach().double().abs()).max())
    return _of_pooling(module, inputs)


def _of_pooling(module: nn.Module, inputs: Tensor) -> float | None:
    """A place is seen by at most ⌈k/s⌉ windows along each side; a mean over n places has slope 1/√n."""
    if isinstance(module, nn.MaxPool2d):
        dilation = _pair(module.dilation)
        return None if dilation != (1, 1) else math.sqrt(_overlap(_pair(module.kernel_size), _pair(module.stride)))
    if isinstance(module, nn.AvgPool2d):
        kernel = _pair(module.kernel_size)
        ragged = module.ceil_mode or (not module.count_include_pad and _pair(module.padding) != (0, 0))
        if ragged or module.divisor_override:
            return None
        return math.sqrt(_overlap(kernel, _pair(module.stride)) / math.prod(kernel))
    if isinstance(module, nn.AdaptiveAvgPool2d):
        sides = [int(side) for side in inputs.shape[-2:]]
        asked = [side if wanted is None else wanted for wanted, side in zip(_pair(module.output_size), sides)]
        if any(side % wanted for side, wanted in zip(sides, asked)):
            return None
        return math.sqrt(math.prod(asked) / math.prod(sides))
    return None


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, tuple | list) else (value, value)


def _overlap(kernel: tuple[int, int], stride: tuple[int, int]) -> int:
    return math.prod(-(-k // s) for k, s in zip(kernel, stride))
