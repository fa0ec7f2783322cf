"""`eigenfall reproduce nassar2020 --scale quick`: page, figures and rows of every arm; both seeds slowly."""

import json
import subprocess
import sys

import pytest

from eigenfall import cli
from eigenfall.papers.nassar2020.runs import arms


@pytest.mark.long
def test_quick_at_one_seed(tmp_path):
    """As it is typed, and in one test, as no worker should do the runs again: about four minutes of processor time."""
    asked = ["reproduce", "nassar2020", "--scale", "quick", "--seeds", "0", "--workers", "1"]
    asked += ["--output", str(tmp_path / "runs"), "--json", str(tmp_path / "rows.json")]
    subprocess.run([sys.executable, "-m", "eigenfall", *asked], check=True, stdout=subprocess.DEVNULL)

    page = (tmp_path / "runs" / "report.html").read_text()
    assert "one hidden layer with batch-norm: 1/n is more robust than plain" in page
    assert "deep plain, 400 updates" in page
    assert "nothing is judged. C1 reverses here." in page
    assert "HOLDS above 0" in page

    found = {path.name for path in (tmp_path / "runs" / "figures").iterdir()}
    drawn = {"fig1", "fig2-published", "fig3-published", "fig4-corrected", "figS-noise", "plane-corrected", "loophole"}
    assert {f"{name}.{kind}" for name in drawn for kind in ("svg", "png", "csv")} <= found

    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["verdict"] for row in rows if row["quantity"] == "claim"} == {"NOT TESTED"}
    assert not [row for row in rows if row["quantity"] == "band"]
    clean, alpha, jacobian = (
        {row["arm"]: row["value"] for row in rows if row["quantity"] == f"reproduced {quantity}"}
        for quantity in ("clean", "α 1", "jacobian")
    )
    assert set(clean) == {arm.name for arm in arms("quick")}
    assert min(clean.values()) > 0.85
    held = [name for name in alpha if "spectral" in name]
    assert all(0.9 < alpha[name] < 1.4 for name in held)
    assert min(alpha[name] for name in alpha if name not in held) > 2
    assert 4 * jacobian["deep Jacobian"] < jacobian["deep plain"]


def test_a_figure_alone_needs_no_run_if_it_shows_none(tmp_path, capsys):
    arguments = ["reproduce", "nassar2020", "--scale", "quick", "--figure", "fig1", "--output", str(tmp_path / "runs")]
    assert cli.main(arguments) == 0
    assert "fig1.svg" in capsys.readouterr().out
    assert (tmp_path / "runs" / "figures" / "fig1.png").is_file()


@pytest.mark.slow
def test_the_whole_of_quick(tmp_path):
    """All arms and both seeds, side by side."""
    arguments = ["reproduce", "nassar2020", "--scale", "quick", "--interactive", "--output", str(tmp_path / "runs")]
    assert cli.main([*arguments, "--json", str(tmp_path / "rows.json")]) == 0
    assert 'id="explore-data"' in (tmp_path / "runs" / "runs.html").read_text()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["arm"] for row in rows if row["quantity"] == "reproduced clean"} == {arm.name for arm in arms("quick")}
