"""Corruptions against closed forms, and the errors that a model makes under them."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from exact import refusal, seeded
from torch import nn
from torch.testing import assert_close

from eigenfall.corruptions._fields import cloud, displacement
from eigenfall.corruptions._filters import blurred, disc, filtered, places, streaks, warped
from eigenfall.corruptions.brightness import Brightness
from eigenfall.corruptions.contrast import Contrast
from eigenfall.corruptions.defocusblur import DefocusBlur
from eigenfall.corruptions.elastic import Elastic
from eigenfall.corruptions.fog import Fog
from eigenfall.corruptions.frost import Frost
from eigenfall.corruptions.gaussianblur import GaussianBlur
from eigenfall.corruptions.gaussiannoise import NormalNoise
from eigenfall.corruptions.glassblur import GlassBlur
from eigenfall.corruptions.impulsenoise import ImpulseNoise
from eigenfall.corruptions.jpeg import JPEG
from eigenfall.corruptions.motionblur import MotionBlur
from eigenfall.corruptions.pixelate import Pixelate
from eigenfall.corruptions.saturate import Saturate
from eigenfall.corruptions.shotnoise import ShotNoise
from eigenfall.corruptions.zoomblur import ZoomBlur
from eigenfall.robustness import corruption_curve, mean_corruption_error, of_corruptions
from eigenfall.statistics import t_interval, wilson
from eigenfall.types import CorruptionCurve, Split


def flat(value=0.5, count=4, channels=1, side=32):
    return torch.full((count, channels, side, side), value)


def ramps(count=2, channels=3, side=16):
    return torch.rand(count, channels, side, side, generator=seeded(5))


# -------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("severity", [1, 5])
def test_normal_noise_has_its_standard_deviation(severity):
    images = flat() + torch.arange(4)[:, None, None, None] / 1000  # equal images would have equal draws
    moved = NormalNoise()(images, severity, seeded(0)) - images
    sd = NormalNoise().sds[severity - 1]
    assert float(moved.std()) == pytest.approx(sd, rel=0.05)
    assert float(moved.mean()) == pytest.approx(0, abs=4 * sd / 64)


@pytest.mark.parametrize("severity", [1, 5])
def test_shot_noise_has_the_variance_of_counts(severity):
    photons = ShotNoise().photons[severity - 1]
    moved = ShotNoise()(flat(), severity, seeded(0)) - flat()
    assert float(moved.var()) == pytest.approx(0.5 / photons, rel=0.12)
    counts = ShotNoise()(flat(), severity, seeded(0)) * photons
    assert_close(counts, counts.round(), rtol=0, atol=1e-3)


def test_impulses_are_as_many_black_as_white_and_stay_lost():
    images = torch.rand(1, 3, 100, 100, generator=seeded(1)) * 0.8 + 0.1
    lost = [(ImpulseNoise()(images, severity, seeded(0)) != images) for severity in range(1, 6)]
    for share, gone in zip(ImpulseNoise().shares, lost):
        assert float(gone.float().mean()) == pytest.approx(share, rel=0.1)
    assert all(bool((later | ~earlier).all()) for earlier, later in pairwise(lost))
    found = ImpulseNoise()(images, 5, seeded(0))[lost[4]]
    assert set(found.tolist()) == {0.0, 1.0}
    assert float(found.mean()) == pytest.approx(0.5, abs=0.04)


# --------------------------------------------------------------------------------- blurs


@pytest.mark.parametrize(
    "blur", [GaussianBlur(), DefocusBlur(), MotionBlur(), GlassBlur(), ZoomBlur(), Elastic()], ids=str
)
def test_a_blur_leaves_an_even_image_alone(blur):
    assert_close(blur(flat(0.3), 5, seeded(0)), flat(0.3), rtol=0, atol=1e-5)


def point(side=33):
    images = torch.zeros(1, 1, side, side, dtype=torch.float64)
    images[..., side // 2, side // 2] = 1
    return images


def spread(image):
    """Second moments about the centre, down and right."""
    at = torch.arange(image.shape[-1], dtype=torch.float64) - image.shape[-1] // 2
    mass = image[0, 0] / image.sum()
    return float((mass.sum(1) * at**2).sum()), float((mass.sum(0) * at**2).sum())


def test_a_normal_blur_spreads_by_its_variance():
    assert spread(blurred(point(), 1.5)) == pytest.approx((2.25, 2.25), rel=0.02)


@pytest.mark.parametrize("radius", [0.8, 1.0, 1.4])
def test_a_small_disc_spreads_by_what_lies_beyond_half_a_pixel(radius):
    """All of a disc with |x| > ½ falls on the next pixel: a share of 1 − (2/π)(asin u + u√(1 − u²)), u = ½/r."""
    u = 0.5 / radius
    beyond = 1 - 2 / math.pi * (math.asin(u) + u * math.sqrt(1 - u**2))
    assert spread(filtered(point(), disc(radius))) == pytest.approx((beyond, beyond), rel=0.03)  # sampled


def test_radii_have_the_moments_that_the_file_says():
    found = [spread(filtered(point(), disc(radius)))[0] for radius in DefocusBlur().radii]
    assert found == pytest.approx([0.08, 0.21, 0.33, 0.4, 0.67], abs=0.01)


def test_a_large_disc_spreads_by_a_quarter_of_its_radius_squared_and_the_pixel():
    assert spread(filtered(point(), disc(6.0))) == pytest.approx((9 + 1 / 12,) * 2, rel=0.01)
    assert float(disc(6.0).sum()) == pytest.approx(1)


def test_a_small_disc_is_one_pixel():
    assert_close(filtered(point(), disc(0.4)), point(), rtol=0, atol=1e-9)


def test_a_streak_lies_along_its_line():
    angles = torch.tensor([0.0, math.pi / 2, math.pi / 4], dtype=torch.float64)
    along, down, across = streaks(4, 2.0, angles)
    weights = torch.exp(-(torch.arange(5, dtype=torch.float64) ** 2) / 8)
    assert_close(along[4, 4:], weights / weights.sum())
    assert_close(down[4:, 4], weights / weights.sum())
    assert_close(across, across.T)
    assert streaks(4, 2.0, angles).sum((1, 2)).tolist() == pytest.approx([1, 1, 1])


def test_each_image_has_its_own_kernel():
    images = ramps(2)
    kernels = torch.stack((disc(2.0)[0], torch.zeros(7, 7, dtype=torch.float64)))
    kernels[1, 3, 3] = 1
    found = filtered(images, kernels)
    assert_close(found[1], images[1], rtol=0, atol=1e-6)
    assert_close(found[:1], filtered(images[:1], disc(2.0)), rtol=0, atol=1e-6)


def test_a_warp_reads_where_it_is_told():
    images, (down, right) = ramps(2), places(ramps(2))
    assert_close(warped(images, down, right), images, rtol=0, atol=1e-5)
    assert_close(warped(images, down + 1, right)[:, :, :-1], images[:, :, 1:], rtol=0, atol=1e-5)
    between = warped(images, down, right + 0.25)[..., :-1]
    assert_close(between, 0.75 * images[..., :-1] + 0.25 * images[..., 1:], rtol=0, atol=1e-5)


def test_zoom_blur_keeps_the_centre_and_is_the_mean_of_its_images():
    images = ramps(1, 1, 17)
    found = ZoomBlur(zooms=(1.0, 1.0, 1.0, 1.0, 1.2), step=0.1)(images, 5, seeded(0))
    assert float(found[0, 0, 8, 8]) == pytest.approx(float(images[0, 0, 8, 8]), abs=1e-5)
    down, right = places(images)
    parts = [warped(images, 8 + (down - 8) / z, 8 + (right - 8) / z) for z in (1.0, 1.0, 1.1, 1.2)]
    assert_close(found, torch.stack(parts).mean(0), rtol=0, atol=1e-5)


def test_glass_without_blur_only_changes_places():
    images = ramps(3)
    found = GlassBlur(sigma=0.0)(images, 5, seeded(0))
    assert_close(found.flatten(2).sort(2).values, images.flatten(2).sort(2).values, rtol=0, atol=0)
    assert float((found != images).float().mean()) > 0.5


def test_an_image_too_small_for_glass_is_refused():
    assert refusal(GlassBlur(), flat(side=2), 1, seeded(0)) == (
        "Expected images of more than 2 pixels on each side for corruption 'glassblur', got 2 × 2. Leave it out: no "
        "pixel has a neighbour to change places with."
    )


# -------------------------------------------------------------------------- light and colour


def test_contrast_keeps_the_mean_and_scales_the_spread():
    images = 0.4 + 0.2 * ramps()
    found = Contrast()(images, 4, seeded(0))
    assert_close(found.mean((2, 3)), images.mean((2, 3)), rtol=0, atol=1e-5)
    assert_close(found.std((2, 3)), 0.3 * images.std((2, 3)), rtol=1e-4, atol=0)


def test_brightness_shifts_a_grey_image_and_keeps_hue():
    assert_close(Brightness()(flat(0.3), 3, seeded(0)), flat(0.45))
    assert_close(Brightness()(flat(0.0), 3, seeded(0)), flat(0.15))
    colour = torch.tensor([0.2, 0.1, 0.4])[None, :, None, None]
    assert_close(Brightness()(colour, 2, seeded(0)).flatten(), torch.tensor([0.25, 0.125, 0.5]))


def test_saturation_keeps_value_and_leaves_grey():
    colour = torch.tensor([0.2, 0.3, 0.4])[None, :, None, None]  # S = ½
    assert_close(Saturate()(colour, 2, seeded(0)).flatten(), torch.tensor([0.1, 0.25, 0.4]))
    grey = flat(0.3, channels=3)
    assert torch.equal(Saturate()(grey, 5, seeded(0)), grey)
    assert refusal(Saturate(), flat(), 1, seeded(0)) == (
        "Expected images of three channels for corruption 'saturate', got 1. Leave it out: a grey image has no colour."
    )


def test_fog_and_frost_move_an_image_in_proportion():
    images = ramps()
    frost = [Frost()(images, severity, seeded(0)) - images for severity in (1, 3)]
    assert_close(frost[1], 2 * frost[0], rtol=0, atol=1e-5)
    largest = images.amax((1, 2, 3), keepdim=True)
    fog = [(Fog()(images, severity, seeded(0)) - images) * (largest + c) / c for severity, c in ((1, 0.2), (4, 1.0))]
    assert_close(fog[0], fog[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_a_cloud_has_its_power_law(exponent):
    """Power along rows of windows that do not wrap: slope 1 − 2·exponent, being summed over the other axis."""
    power = torch.zeros(64, dtype=torch.float64)
    for seed in range(40):
        field = cloud(128, 128, exponent, seeded(seed))
        assert (float(field.min()), float(field.max())) == (0.0, 1.0)
        window = torch.hann_window(128, periodic=True, dtype=torch.float64)
        power += (torch.fft.fft((field - field.mean()) * window, dim=1).abs() ** 2).mean(0)[:64]
    ranks = torch.arange(4, 24, dtype=torch.float64)
    slope = (power[4:24].log() * (ranks.log() - ranks.log().mean())).sum() / (
        (ranks.log() - ranks.log().mean()) ** 2
    ).sum()
    assert float(slope) == pytest.approx(1 - 2 * exponent, abs=0.3)


def test_a_displacement_has_root_mean_square_one_and_elastic_its_share():
    assert float(displacement(32, 32, 4.0, seeded(0)).square().mean()) == pytest.approx(1)
    gradient = torch.arange(32.0).expand(1, 1, 32, 32) / 64 + 0.2
    moved = (Elastic()(gradient, 3, seeded(0)) - gradient) * 64
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.03 * 32, rel=0.4)  # of one axis, and the border stops


# ------------------------------------------------------------------------ pixels and files


def test_half_as_many_pixels_are_means_of_four():
    images = ramps(side=16)
    found = Pixelate(factors=(0.5,))(images, 1, seeded(0))
    means = nn.functional.avg_pool2d(images, 2)
    assert_close(found, means.repeat_interleave(2, 2).repeat_interleave(2, 3), rtol=0, atol=1e-6)


def test_boxes_that_cut_pixels_keep_the_mean_of_a_ramp():
    ramp = torch.arange(7.0).expand(1, 1, 7, 7) / 7
    found = Pixelate(factors=(0.4,))(ramp, 1, seeded(0))[0, 0, 0]  # two boxes of 3.5 pixels
    first = (0 + 1 + 2 + 3 / 2) / 3.5 / 7
    assert found.tolist() == pytest.approx([first] * 3 + [found[3].item()] + [6 / 7 - first] * 3, abs=1e-6)


def test_jpeg_is_pillows_own():
    from io import BytesIO

    import numpy as np
    from PIL import Image

    images = ramps(1, 3, 16)
    file = BytesIO()
    Image.fromarray((images[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=58)
    theirs = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255
    assert_close(JPEG()(images, 3, seeded(0)), theirs)
    even = flat(128 / 255)
    assert_close(JPEG()(even, 5, seeded(0)), even, rtol=0, atol=1 / 255)
    assert refusal(JPEG(), flat(channels=2), 1, seeded(0)) == (
        "Expected images of one or three channels for corruption 'jpeg', got 2. A JPEG is grey or in colour; leave it "
        "out."
    )


# -------------------------------------------------------------------------- a model's errors


class Bright(nn.Module):
    """Says 1 if the mean of an image is above one half."""

    def forward(self, inputs):
        mean = inputs.flatten(1).mean(1)
        return torch.stack((0.5 - mean, mean - 0.5), 1)


def levels(count=20):
    values = torch.linspace(0.313, 0.687, count)
    return Split(values[:, None, None, None].expand(-1, 1, 8, 8).contiguous(), (values > 0.5).long())


def test_a_curve_counts_what_a_shift_of_brightness_does():
    data = levels()
    curve = corruption_curve(Bright(), {"light": Brightness(), "contrast": Contrast()}, data, seeded(0))
    assert bool(curve.clean_correct.all())
    for place, shift in enumerate(Brightness().shifts):
        values = data.inputs[:, 0, 0, 0]
        right = ((values + shift > 0.5) == (values > 0.5)).sum()
        assert int(curve.correct[0, place].sum()) == int(right)
        estimate = curve.accuracy("light")[place]
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(wilson(int(right), 20)[:3])
        assert float(curve.rms[0, place]) == pytest.approx(shift, rel=1e-4)
    assert bool(curve.correct[1].all())  # an even image has no contrast to lose
    assert curve.corruptions["light"].startswith("brightness:shifts=0.05/")


def test_a_curve_does_not_depend_on_batches():
    data = Split(torch.rand(12, 1, 8, 8, generator=seeded(2)), torch.arange(12) % 2)
    some = {"noise": NormalNoise(), "glass": GlassBlur(), "fog": Fog()}
    curves = [corruption_curve(Bright(), some, data, seeded(3), batch_size=size) for size in (1, 5, 12)]
    for other in curves[1:]:
        assert torch.equal(other.correct, curves[0].correct)
        assert_close(other.rms, curves[0].rms)


def planted(errors, clean, images=100):
    """A curve with so many errors of the images, the first ones, per corruption and severity."""
    correct = torch.stack([torch.stack([torch.arange(images) >= wrong for wrong in some]) for some in errors])
    names = {f"c{place}": f"c{place}" for place in range(len(errors))}
    return CorruptionCurve(
        names,
        tuple(range(1, 1 + len(errors[0]))),
        correct,
        torch.arange(images) >= clean,
        torch.zeros(correct.shape[:2]).double(),
    )


def test_mean_corruption_error_by_hand():
    ours, theirs = planted([(10, 20), (30, 50)], 5), planted([(20, 40), (40, 60)], 10)
    found = mean_corruption_error(ours, theirs)
    assert found.value == pytest.approx((30 / 60 + 80 / 100) / 2)
    relative = mean_corruption_error(ours, theirs, relative=True)
    assert relative.value == pytest.approx((20 / 40 + 70 / 80) / 2)
    assert found.low < found.value < found.high


def test_a_model_against_its_copy_has_mean_corruption_error_one():
    curve = planted([(10, 20), (30, 50)], 5)
    found = mean_corruption_error(curve, curve)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_a_baseline_that_cannot_be_divided_by_is_refused():
    curve, perfect = planted([(10, 20), (30, 50)], 5), planted([(10, 20), (0, 0)], 0)
    assert refusal(mean_corruption_error, curve, perfect) == (
        "Expected a baseline that 'c1' makes worse, got a loss of 0. Leave the corruption out, or take a weaker "
        "baseline."
    )
    assert refusal(mean_corruption_error, curve, replace(curve, seed=1)) == (
        "Expected a baseline with the same seed, got 1 for 0. Corrupt the same images for both models alike."
    )


def test_nothing_to_corrupt_is_refused():
    assert refusal(corruption_curve, Bright(), {}, levels(), seeded(0)) == (
        "Expected at least one corruption and one image, got 0 and 20. Give {'fog': Fog()}, for instance."
    )
    assert refusal(corruption_curve, Bright(), {"fog": Fog()}, levels(), seeded(0), (2, 1)) == (
        "Expected severities that ascend, got 2, 1. Give each once, weakest first."
    )


def test_rows_say_accuracy_distance_and_mean():
    rows = list(of_corruptions(planted([(10, 20), (30, 50)], 5)))
    first = rows[0]
    assert (first["quantity"], first["corruption"], first["severity"], first["value"]) == (
        "corruption_accuracy",
        "c0",
        1,
        0.9,
    )
    assert (first["low"], first["high"]) == wilson(90, 100)[1:3]
    assert rows[-1]["value"] == pytest.approx(1 - 110 / 400)
    means = [row for row in rows if row["quantity"] == "mean_corruption_accuracy"]
    assert [(row.get("severity"), row["value"]) for row in means] == [
        (1, pytest.approx(0.8)), (2, pytest.approx(0.65)), (None, pytest.approx(0.725))
    ]  # fmt: skip


def test_means_over_corruptions_have_students_interval_over_images():
    curve = planted([(10, 20), (30, 50)], 5)
    found = curve.mean_accuracy()[0]
    per_image = [0.0] * 10 + [0.5] * 20 + [1.0] * 70
    assert (found.value, found.low, found.high) == pytest.approx(t_interval(per_image))
    assert curve.overall.value == pytest.approx(1 - 110 / 400)
    one = planted([(10, 20)], 5).mean_accuracy()[1]
    assert (one.value, one.low, one.high) == pytest.approx(wilson(80, 100)[:3])
    assert planted([(0, 0), (1, 1)], 0).overall.high == 1  # no share is above 1
