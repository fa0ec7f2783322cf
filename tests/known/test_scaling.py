"""L3 norms, and inputs that are not scaled as a preset needs."""

import pytest
import torch
from exact import refusal, seeded

from eigenfall.scaling import divided, l3_norms, need_scaling


def images(count=5):
    return torch.rand(count, 3, 4, 4, generator=seeded(0))


def test_norms_equal_a_loop():
    norms = l3_norms(-images())
    for image, norm in zip(images().flatten(1).double().tolist(), norms.tolist()):
        assert norm == pytest.approx(sum(value**3 for value in image) ** (1 / 3), rel=1e-12)


def test_divided_images_have_norm_one_and_come_back():
    before = images()
    found, norms = divided(before, "mine")
    assert torch.equal(before, images())
    assert l3_norms(found).tolist() == pytest.approx([1.0] * 5, rel=1e-6)
    assert torch.allclose(found * norms.float().reshape(-1, 1, 1, 1), before, rtol=1e-6)
    again, ones = divided(found, "mine")
    assert ones.tolist() == pytest.approx([1.0] * 5, rel=1e-6)
    assert torch.allclose(again, found, rtol=1e-6)


def test_bytes_or_fractions_make_no_difference():
    levels = torch.randint(0, 256, (6, 3, 4, 4), generator=seeded(1)).float()
    assert torch.allclose(divided(levels, "a")[0], divided(levels / 255, "a")[0], rtol=1e-6)


def test_a_black_image_is_refused():
    held = images()
    held[2] = 0
    assert refusal(divided, held, "mine") == (
        "Expected inputs of mine that are not zero everywhere, to divide by their L3 norm, got 1 of 5 that are. "
        "Leave those out, or use scaling=pixel."
    )


def test_what_is_scaled_as_needed_passes():
    unit = divided(images(), "a")[0]
    for scaling in ("any", "pixel"):
        need_scaling(images(), scaling)
    for scaling in ("any", "l3"):
        need_scaling(unit, scaling)
    need_scaling(torch.full((2, 3), -7.0), "any")
    need_scaling(torch.zeros(0, 3), "l3")
    need_scaling(torch.eye(4), "l3")  # one white pixel each: both at once
    need_scaling(torch.eye(4), "pixel")


def test_what_is_not_is_refused_in_one_sentence():
    held = torch.tensor([[0.5, 0.0], [0.0, 0.75]])
    assert refusal(need_scaling, held, "l3") == (
        "Expected images of L3 norm 1, got norms from 0.5 to 0.75. "
        "Use a data set's scaling=l3, for instance --data cifar10:scaling=l3."
    )
    assert refusal(need_scaling, divided(images(), "a")[0], "pixel") == (
        "Expected images in [0, 1] pixels, got images of L3 norm 1. "
        "Use a data set's scaling=pixel, for instance --data cifar10:scaling=pixel."
    )
    assert refusal(need_scaling, held * 255, "pixel") == (
        "Expected images in [0, 1] pixels, got values from 0 to 191.2. Divide bytes by 255."
    )
    broken = torch.tensor([[float("nan"), 1.0]])
    assert refusal(need_scaling, broken, "l3").startswith("Expected images of L3 norm 1, got norms from nan to nan.")
    assert refusal(need_scaling, broken, "pixel").startswith("Expected images in [0, 1] pixels, got values from nan")


def test_one_image_among_many_is_seen():
    unit = divided(images(2500), "a")[0]
    unit[2400] *= 1.01
    assert refusal(need_scaling, unit, "l3").startswith("Expected images of L3 norm 1, got norms from 1 to 1.01.")
