"""`eigenfall atlas --scale quick`, every method at one of its seeds, and its pages in a real browser."""

import json
import subprocess
import sys

import pytest
from browsing import CHROMIUM, measured

from eigenfall.atlas.methods import NAMES
from eigenfall.atlas.points import CLEAN, DISTANCE


@pytest.mark.long
def test_every_method_of_quick_at_one_seed(tmp_path):
    """As it is typed, and in one test, as no worker should do the runs again: about two minutes of processor time."""
    asked = ["atlas", "--scale", "quick", "--seeds", "0", "--workers", "1", "--interactive"]
    asked += ["--output", str(tmp_path / "runs"), "--json", str(tmp_path / "rows.json")]
    subprocess.run([sys.executable, "-m", "eigenfall", *asked], check=True, stdout=subprocess.DEVNULL)

    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    clean, distance = (
        {row["method"]: row["value"] for row in rows if row["quantity"] == f"atlas {quantity}"}
        for quantity in (CLEAN, DISTANCE)
    )
    assert set(clean) == set(NAMES)
    assert clean["untrained"] < 50 < clean["random"] < clean["plain"]
    assert distance["adversarial"] > distance["plain"] > 0

    told = [row for row in rows if row["quantity"] == "association"]
    assert told
    assert all(-1 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in told)
    drawn = {path.name for path in (tmp_path / "runs" / "figures").iterdir()}
    assert {"distance.svg", "distance.png", "distance.csv"} <= drawn

    if CHROMIUM.exists():
        for name in ("report.html", "runs.html"):
            for width in (1280, 390):
                wide, _, _, size, colour, requests = measured(tmp_path, tmp_path / "runs" / name, width)
                assert int(wide) <= width, (name, width)
                assert (size, requests, colour) == ("16px", "0", "rgb(255, 255, 255)")
