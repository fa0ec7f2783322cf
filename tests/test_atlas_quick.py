"""`eigenfall atlas --scale quick`, every method at one of its seeds, and its pages in a real browser."""

import json

import pytest
from browsing import CHROMIUM, measured

from eigenfall import cli
from eigenfall.atlas.methods import NAMES
from eigenfall.atlas.points import CLEAN, DISTANCE

in_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed at /usr/bin/chromium")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the command wrote: about two minutes of processor time."""
    folder = tmp_path_factory.mktemp("atlas")
    asked = ["atlas", "--scale", "quick", "--seeds", "0", "--workers", "1", "--interactive"]
    assert cli.main([*asked, "--output", str(folder / "runs"), "--json", str(folder / "rows.json")]) == 0
    return folder


def test_every_method_has_its_numbers(made):
    rows = json.loads((made / "rows.json").read_text())["rows"]
    clean = {row["method"]: row["value"] for row in rows if row["quantity"] == f"atlas {CLEAN}"}
    assert set(clean) == set(NAMES)
    assert clean["untrained"] < 0.5 < clean["random"] < clean["plain"]
    distance = {row["method"]: row["value"] for row in rows if row["quantity"] == f"atlas {DISTANCE}"}
    assert distance["adversarial"] > distance["plain"] > 0


def test_what_goes_with_robustness_is_told_and_drawn(made):
    rows = json.loads((made / "rows.json").read_text())["rows"]
    told = [row for row in rows if row["quantity"] == "association"]
    assert told
    assert all(-1 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in told)
    drawn = {path.name for path in (made / "runs" / "figures").iterdir()}
    assert {"distance.svg", "distance.png", "distance.csv"} <= drawn


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report.html", "runs.html"])
def test_its_pages_open_in_a_browser_without_a_complaint_or_a_request(made, tmp_path, name, width):
    wide, _, _, size, colour, requests = measured(tmp_path, made / "runs" / name, width)
    assert int(wide) <= width
    assert (size, requests, colour) == ("16px", "0", "rgb(255, 255, 255)")
