"""Nothing that chooses can see the test split: a split that breaks when it is read, and what the verbs are handed."""

import inspect
import typing

import pytest
import torch
from exact import seeded

from eigenfall import parts
from eigenfall.heads.repu import RePUHead
from eigenfall.learning import Learning, learn
from eigenfall.learnt import learning_model
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.pruning import Pruning
from eigenfall.readout import fit_head, fit_ridge
from eigenfall.rules.krotov import Krotov
from eigenfall.training import Training, train
from eigenfall.types import Examples, Split

FITTING = {"vgg": {"blocks": (1, 1), "widths": (8, 8)}}
"""Settings of what is too deep for small pictures."""
OWN = [name for name in parts.names("architectures") if name not in ("imported", "learnt")]


class Sealed(Split):
    """A split that nobody may read."""

    def __getattribute__(self, name):
        if name in ("inputs", "targets"):
            raise AssertionError(f"the test split's {name} were read")
        return super().__getattribute__(name)

    def __len__(self):
        raise AssertionError("the test split was counted")


def examples(side=12):
    inputs = torch.rand(60, 1, side, side, generator=seeded(0))
    targets = (inputs.flatten(1).mean(1) > 0.5).long()
    sealed = object.__new__(Sealed)
    found = Examples("pictures", Split(inputs[:40], targets[:40]), Split(inputs[40:], targets[40:]), sealed, classes=2)
    assert found.test is sealed
    return found


def finished(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_the_seal_holds():
    for read in (lambda split: split.inputs, lambda split: split.targets, len):
        with pytest.raises(AssertionError, match="the test split"):
            read(examples().test)


@pytest.mark.parametrize("verb", [train, learn, fit_head, fit_ridge], ids=lambda verb: verb.__name__)
def test_verbs_that_choose_are_handed_no_test_split(verb):
    """Defect 14 of Holzhausen et al.'s code: no argument is, or leads to, what is kept for the test."""
    hints = typing.get_type_hints(verb)
    assert "test" not in inspect.signature(verb).parameters
    assert not any("Examples" in str(hint) for name, hint in hints.items() if name != "return")
    named = {name for name, hint in hints.items() if hint is Split}
    assert named == (set() if verb is learn else {"train", "validation"})


@pytest.mark.parametrize("name", OWN)
def test_a_network_is_built_fitted_and_stopped_early_without_it(name):
    data = examples()
    model = parts.part_class("architectures", name)(**FITTING.get(name, {}))(data, seeded(0))
    fit = Training(epochs=4, batch_size=20, patience=1, learning_rate=0.02)
    penalties = {"jacobian": JacobianNorm(), "spectral": Spectral(layers=("readout",), tau=0)}
    steps = list(train(model, data.train, data.validation, penalties, fit))
    assert steps[-1].last
    assert "validation_accuracy" in steps[-1].values


def test_a_layer_is_learnt_pruned_and_read_out_without_it():
    """`learning_model` is handed the examples whole, for their shape: the seal shows that it leaves the test alone."""
    data, learning = examples(), Learning(units=12, epochs=2, batch_size=20)
    rule = Krotov(p=3.0, k=2, learning_rate=0.02)
    fit = Training(epochs=3, batch_size=20, patience=1)
    found = finished(learning_model(rule, RePUHead(power=2.0), data, learning, fit, pruning=Pruning()))
    assert found.pruned is not None
    assert found.model.currents.weight.shape[1] == 144
    head, ridge = fit_ridge(found.model.currents, RePUHead(power=2.0), data.train, data.validation, 2)
    assert head.readout.weight.shape[0] == 2
    assert ridge.strength > 0
