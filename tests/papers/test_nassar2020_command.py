"""`eigenfall reproduce nassar2020 --scale quick`: some of its arms whole, their page, figures and rows."""

import json

import pytest

from eigenfall import cli
from eigenfall.papers.nassar2020.runs import arms

CHEAP = ("deep plain", "deep plain, 400 updates", "deep plain, 700 updates", "shallow plain")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the command wrote of the cheapest arms, one seed, in one process."""
    folder = tmp_path_factory.mktemp("quick")
    named = [word for name in CHEAP for word in ("--arm", name)]
    more = ["--seeds", "0", "--workers", "1", "--output", str(folder / "runs"), "--json", str(folder / "rows.json")]
    assert cli.main(["reproduce", "nassar2020", "--scale", "quick", *named, *more]) == 0
    return folder


def test_the_page_shows_claims_arms_and_what_is_not_judged(made):
    page = (made / "runs" / "report.html").read_text()
    assert "one hidden layer with batch-norm: 1/n is more robust than plain" in page
    assert "deep plain, 400 updates" in page
    assert "nothing is judged. C1 reverses here." in page
    assert "HOLDS above 0" in page
    assert (made / "runs" / "runs.html").is_file()


def test_figures_lie_beside_it_with_their_numbers(made):
    found = {path.name for path in (made / "runs" / "figures").iterdir()}
    assert {"fig1.svg", "fig1.png", "fig1.csv", "plane-corrected.svg", "plane-corrected.csv"} <= found


def test_every_number_is_a_tidy_row_and_nothing_is_judged(made):
    rows = json.loads((made / "rows.json").read_text())["rows"]
    assert {row["verdict"] for row in rows if row["quantity"] == "claim"} == {"NOT TESTED"}
    clean = {row["arm"]: row["value"] for row in rows if row["quantity"] == "reproduced clean"}
    assert set(clean) == set(CHEAP)
    assert min(clean.values()) > 0.9
    assert not [row for row in rows if row["quantity"] == "band"]


def test_a_figure_alone_needs_no_run_if_it_shows_none(tmp_path, capsys):
    arguments = ["reproduce", "nassar2020", "--scale", "quick", "--figure", "fig1", "--output", str(tmp_path / "runs")]
    assert cli.main(arguments) == 0
    assert "fig1.svg" in capsys.readouterr().out
    assert (tmp_path / "runs" / "figures" / "fig1.png").is_file()


@pytest.mark.slow
def test_the_whole_of_quick(tmp_path):
    """All arms and both seeds, 224 s of processor time each."""
    arguments = ["reproduce", "nassar2020", "--scale", "quick", "--output", str(tmp_path / "runs")]
    assert cli.main([*arguments, "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["arm"] for row in rows if row["quantity"] == "reproduced clean"} == {arm.name for arm in arms("quick")}
