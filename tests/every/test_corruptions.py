"""Every corruption in the folder: the contract of the kind, on small photographs and on grey digits."""

import functools

import nets
import pytest
import torch
from exact import seeded
from sklearn.datasets import load_sample_images
from torch.testing import assert_close

from eigenfall import parts

NAMES = parts.names("corruptions")
IN_COLOUR = ("saturate",)
DRAWING = {"elastic", "fog", "frost", "gaussiannoise", "glassblur", "impulsenoise", "motionblur", "shotnoise", "snow"}


@functools.cache
def photographs():
    """30 tiles of 32 × 32 pixels of the two photographs that scikit-learn carries, at a quarter of their size."""
    images = torch.stack([torch.from_numpy(image.copy()) for image in load_sample_images().images])
    small = torch.nn.functional.avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 4)
    tiles = small[:, :, :96, :160].unfold(2, 32, 32).unfold(3, 32, 32)
    return tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 32, 32).contiguous()


def grey():
    return photographs().mean(1, keepdim=True)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def corruption(name):
    return parts.part_class("corruptions", name)()


def rms(corruption, images, severity):
    return (corruption(images, severity, seeded(0)) - images).square().mean().sqrt()


@pytest.mark.parametrize("images", [photographs, grey], ids=["colour", "grey"])
def test_images_come_back_as_images(name, corruption, images):
    images = images()[:6]
    if name in IN_COLOUR and images.shape[1] == 1:
        pytest.skip("a grey image has no colour")
    before = images.clone()
    for severity in (1, 5):
        found = corruption(images, severity, seeded(0))
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        assert not torch.equal(found, images)
    assert torch.equal(images, before)


def test_each_severity_moves_the_images_further(name, corruption):
    moved = [float(rms(corruption, photographs(), severity)) for severity in range(1, 6)]
    assert moved == sorted(set(moved)), moved
    assert 0.002 < moved[0] < moved[4] < 0.5


def test_digits_can_be_corrupted_too(name, corruption):
    if name in IN_COLOUR:
        pytest.skip("a grey image has no colour")
    digits = nets.digits()[0][:20].reshape(-1, 1, 8, 8)
    moved = [float(rms(corruption, digits, severity)) for severity in range(1, 6)]
    assert moved == sorted(moved) or name == "pixelate", moved  # six boxes along eight pixels lie worse than five
    assert moved[4] > 0


def test_an_image_depends_on_the_seed_and_itself_alone(corruption):
    """Not on the batch, nor on its place in it, nor on what was drawn before."""
    images = photographs()[:5]
    generator = seeded(0)
    whole = corruption(images, 3, generator)
    assert torch.equal(corruption(images, 3, generator), whole)
    alone = torch.cat([corruption(image, 3, seeded(0)) for image in images.split(1)])
    assert_close(alone, whole, rtol=0, atol=1e-6)
    assert_close(corruption(images.flip(0), 3, seeded(0)).flip(0), whole, rtol=0, atol=1e-6)


def test_another_seed_is_another_draw(name, corruption):
    images = photographs()[:3]
    same = torch.equal(corruption(images, 4, seeded(0)), corruption(images, 4, seeded(1)))
    assert same == (name not in DRAWING)


def test_what_is_no_image_or_severity_is_refused(name, corruption):
    images = photographs()[:2]
    with pytest.raises(ValueError) as refusal:
        corruption(images[0], 1, seeded(0))
    assert str(refusal.value) == (
        "Expected images (batch, channels, height, width) of floating-point numbers for corruption "
        f"'{name}', got shape (3, 32, 32) of torch.float32. Add an axis of length 1 for one channel, and divide 8-bit "
        "pixels by 255."
    )
    with pytest.raises(ValueError) as refusal:
        corruption(4 * images - 2, 1, seeded(0))
    assert str(refusal.value).startswith(f"Expected pixels in [0, 1] for corruption '{name}', got values from -")
    for severity in (0, 6):
        with pytest.raises(ValueError) as refusal:
            corruption(images, severity, seeded(0))
        assert str(refusal.value) == (
            f"Expected a severity from 1 to 5 for corruption '{name}', got {severity}. 1 is the weakest."
        )


def test_the_tiles_are_photographs():
    assert photographs().shape == (30, 3, 32, 32)
    assert float(photographs().std()) > 0.2
