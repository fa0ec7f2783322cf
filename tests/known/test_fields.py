"""Pictures of a learnt layer: each unit on its own scale, norms of all units counted once."""

import matplotlib
import pytest
import torch
from exact import seeded

from eigenfall import figures
from eigenfall.convergence import Gates
from eigenfall.types import ReceptiveFields

matplotlib.use("Agg")


def drawn(weights, units=50):
    from matplotlib.figure import Figure

    ax = figures.plot(ReceptiveFields(weights, units), Figure().subplots(), "layer")
    (image,) = ax.get_images()
    return ax, image.get_array()


def test_each_unit_is_on_its_own_scale():
    one = torch.zeros(1, 3, 3)
    one[0, 0, 0], one[0, 2, 2] = 1.0, -1.0
    ax, picture = drawn(torch.stack([one, 1000 * one, 0 * one]))
    assert picture.shape == (7, 7, 3)
    assert (picture[:3, :3] == picture[:3, 4:7]).all()
    assert picture[0, 0, 0] == 1.0
    assert picture[0, 0, 2] < 0.5  # red
    assert picture[2, 2, 2] == 1.0
    assert picture[2, 2, 0] < 0.5  # blue
    assert (picture[4:7, :3] == 1).all()
    assert ax.get_title() == "layer: 3 of 50 units"


def test_colours_stand_about_grey():
    _, picture = drawn(torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1))
    assert picture[0, 0].tolist() == [1.0, 0.5, 0.0]


def test_vectors_have_no_picture():
    with pytest.raises(ValueError) as raised:
        drawn(torch.rand(4, 10))
    assert str(raised.value) == (
        "Expected weights over images (shown, 1 or 3 channels, height, width), got shape (4, 10). Only layers that "
        "learn from images have receptive fields to look at."
    )


def test_norms_of_all_units_are_counted():
    from matplotlib.figure import Figure

    weights = torch.randn(30, 20, generator=seeded(0), dtype=torch.float64)
    judged = [Gates()(weights, 3.0), Gates()(2 * weights, 3.0)]
    ax = figures.plot(judged, Figure().subplots(), "layer")
    heights = [path.get_path().vertices[:, 1].max() for path in ax.patches]
    assert max(heights) > 0
    assert any("layer" in text.get_text() for text in ax.get_legend().get_texts())
