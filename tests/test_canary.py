"""The shape check is on: without it every other test of a shape would pass for nothing."""

from dataclasses import replace

import pytest
import torch
import typecheck

from eigenfall.check import nearest
from eigenfall.objectives import margin
from eigenfall.types import Estimate, Spectrum


def test_a_field_of_the_wrong_shape_is_caught():
    spectrum = Spectrum(torch.ones(3, dtype=torch.float64), stimuli=4, units=3)
    with pytest.raises(TypeError, match="eigenvalues"):
        replace(spectrum, eigenvalues=torch.zeros(2, 3))


def test_a_field_of_the_wrong_width_is_caught():
    with pytest.raises(TypeError, match="eigenvalues"):
        Spectrum(torch.ones(3, dtype=torch.float32), stimuli=4, units=3)


def test_axes_of_the_same_name_must_agree():
    with pytest.raises(TypeError, match="targets"):
        margin(torch.zeros(5, 10), torch.zeros(4, dtype=torch.int64))


def test_a_plain_type_is_checked_too():
    with pytest.raises(TypeError, match="name"):
        nearest(3, ["three"])


def test_a_whole_number_is_a_number():
    assert Estimate(value=1).value == 1


def test_what_was_called_often_is_left_alone_until_the_next_test():
    logits = torch.zeros(4, 10)
    for _ in range(typecheck.CALLS):
        margin(logits, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(RuntimeError):  # torch's own, where the shapes no longer are looked at
        margin(logits, torch.zeros(5, dtype=torch.int64))
    typecheck.afresh()
    with pytest.raises(TypeError, match="targets"):
        margin(logits, torch.zeros(5, dtype=torch.int64))
