import math

import numpy
import pytest
import torch
from exact import refusal
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from eigenfall import figures
from eigenfall.figures.landscape import SHADES, subscript
from eigenfall.figures.smoothness import ridge
from eigenfall.figures.style import series
from eigenfall.types import Landscape, Plane, SensitivityMap, Smoothness


@pytest.fixture
def ax():
    return Figure(figsize=(5, 5)).subplots()


def decisions(inside=None):
    classes = torch.tensor([[0, 0, 0], [0, 0, 2], [0, 2, 2]])
    plane = Plane(
        torch.zeros(2), torch.eye(2)[0], torch.eye(2)[1], kind="images", marks=torch.tensor([[1.0, 0], [9, 9]]).double()
    )
    inside = torch.ones(3, 3, dtype=torch.bool) if inside is None else inside
    return Landscape(plane, torch.tensor([-1.0, 0, 1]).double(), classes, inside, 0, 2, 4.0, 2.0)


def test_decisions_are_colours_with_their_names_and_the_outside_is_hatched(ax):
    inside = torch.ones(3, 3, dtype=torch.bool)
    inside[0, 0] = False
    assert figures.plot(decisions(inside), ax, label="here") is ax
    picture = ax.images[0].get_array()
    assert picture[2, 2, 3] == 1
    assert picture[0, 0, 3] == 0
    for place, one in (((0, 1), 0), ((2, 2), 2)):
        shade = 1 - 0.55 * (1 - numpy.array(to_rgb(SHADES[one])))
        numpy.testing.assert_allclose(picture[(*place, slice(3))], shade)
    assert ax.images[0].get_extent() == [-1.5, 1.5, -1.5, 1.5]
    assert {text.get_text() for text in ax.texts} == {"0", "2"}
    assert ax.patch.get_hatch() == "////"
    assert ax.get_title() == "here"
    assert ax.get_xlabel() == "ξ₁, L2 of the input: to a second image"
    points = [line.get_xydata().tolist() for line in ax.lines]
    assert points == [[[0, 0]], [[1, 0]]]  # the mark at (9, 9) is beyond the square


def test_a_plane_of_one_decision_has_no_lines(ax):
    one = decisions()
    figures.plot(Landscape(one.plane, one.along, torch.zeros_like(one.classes), one.inside, 0, 1, 4.0, 0.0), ax)
    assert not ax.collections
    assert ax.patch.get_hatch() is None


def sensitive(shape=(3, 1, 2, 2)):
    maps = torch.zeros(2, *shape)
    maps[0].flatten()[0] = 4.0
    maps[0].flatten()[-1] = -2.0
    return SensitivityMap("hidden1", (1, 12), torch.ones(2).double(), maps, torch.ones(2).double(), torch.rand(shape))


def test_maps_stand_under_their_images_red_for_more_and_blue_for_less(ax):
    figures.plot(sensitive(), ax)
    picture = ax.images[0].get_array()
    assert picture.shape == (3 * 3 - 1, 3 * 3 - 1, 3)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["image", "∂λ₁/∂x", "∂λ₁₂/∂x"]
    red, blue, none = picture[3, 0], picture[4, 7], picture[3, 1]
    assert red[0] == 1
    assert red[2] < 0.2
    assert blue[2] == 1
    assert red[2] < blue[0] < 1  # half as strong
    assert (none == 1).all()
    assert (picture[6:] == 1).all()  # nothing depends on anything at rank 12
    assert subscript(307) == "₃₀₇"


def test_maps_over_what_is_no_image_are_refused(ax):
    one = SensitivityMap(
        "h", (1,), torch.ones(1).double(), torch.zeros(1, 3, 4), torch.ones(1).double(), torch.zeros(3, 4)
    )
    assert refusal(figures.plot, one, ax) == (
        "Expected a map over images (stimuli, channels, height, width), got inputs of shape (3, 4). "
        "Reshape inside the model."
    )
    assert refusal(figures.plot, [decisions(), decisions()], ax) == (
        "Expected one Landscape per call, got 2 of them. Plot the others on axes of their own."
    )


def test_what_is_a_logarithm_has_a_linear_axis_and_counts_other_ranks(ax):
    values = torch.tensor([-3.0, -2, -1, 0, -math.inf]).double()
    found = Smoothness("log_volume", "outputs", values, 2.0, "", "logarithmic", torch.tensor([9, 9, 9, 9, 0]))
    ridge(ax, [found], "net", series(0))
    assert ax.get_xscale() == "linear"
    assert ax.get_yticklabels()[0].get_text() == "net\n(1 incomparable left out)"
    assert ax.get_xlabel() == "log-volume ½ ln det JJᵀ, natural logarithm"
    assert ax.lines[-1].get_xdata() == pytest.approx([-1.5])
