"""The page in a real browser, from disk, without network: no complaint, no request, nothing wider than the screen."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pagerecords
import plantedatlas
import pytest
import recordingrecords
import reproductions

from eigenfall.atlas.points import gathered
from eigenfall.commands import charting
from eigenfall.report import page, templates

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed at /usr/bin/chromium")


def recordings(folder):
    responses, measurement = recordingrecords.simulated_session()
    return [recordingrecords.saved(folder / "runs", responses, "powerlaw:stimuli=120,units=60", measurement)]


@pytest.fixture(scope="module", params=["models", "recording", "surrounded"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    made = {"models": pagerecords.records, "surrounded": pagerecords.surrounded}
    found = made[request.param]() if request.param in made else recordings(folder)
    return page.write(found, folder / "report.html", "A title", "eigenfall demo")


def chromium(folder, target, *options):
    """Run the browser once, on a fresh profile, every host name unresolvable; its log."""
    profile = folder / "profile"
    finished = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--enable-logging=stderr",
            f"--user-data-dir={profile}", *options, target.resolve().as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    shutil.rmtree(profile, ignore_errors=True)
    return finished


def complaints(log):
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def framed(folder, report, width):
    """A page that holds the report in a frame of this width and says how wide its contents are."""
    frame = folder / "frame.html"
    frame.write_text(
        f"""<body style="margin:0"><iframe src="{report.resolve().as_uri()}"
 style="width:{width}px;height:900px;border:0">
</iframe><p id="found"></p><script>
document.querySelector("iframe").onload = event => {{
  const inner = event.target.contentDocument, root = inner.documentElement;
  const clipped = [...inner.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > {width});
  document.getElementById("found").textContent = [root.scrollWidth, inner.querySelectorAll("svg").length,
    clipped.length, getComputedStyle(inner.body).fontSize, getComputedStyle(inner.body).backgroundColor,
    inner.defaultView.performance.getEntriesByType("resource").length].join("|");
}};
</script></body>"""
    )
    return frame


def measured(tmp_path, report, width, *options):
    finished = chromium(tmp_path, framed(tmp_path, report, width), "--dump-dom", "--virtual-time-budget=4000", *options)
    found = re.search(r'<p id="found">([^<]*)</p>', finished.stdout)
    assert found, finished.stderr
    assert complaints(finished.stderr) == []
    return found.group(1).split("|")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_never_wider_than_the_screen_and_asks_for_nothing(tmp_path, report, width):
    wide, figures, clipped, size, colour, requests = measured(tmp_path, report, width)
    assert int(wide) <= width
    assert int(figures) >= 6
    assert (clipped, size, requests) == ("0", "16px", "0")
    assert colour == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_atlas_is_never_wider_than_the_screen_and_asks_for_nothing(tmp_path, width):
    records = plantedatlas.records_of({"plain": {}, "Krotov-Hopfield": {"alpha": None}, "BCM": {"failed": "c"}})
    atlas = gathered(records, "quick")
    path = templates.write(tmp_path / "report.html", charting.page_of(atlas, records, []))
    wide, _, _, size, colour, requests = measured(tmp_path, path, width)
    assert int(wide) <= width
    assert (size, requests, colour) == ("16px", "0", "rgb(255, 255, 255)")


def test_a_dark_setting_makes_a_dark_page(tmp_path, report):
    colour = measured(tmp_path, report, 1280, "--blink-settings=preferredColorScheme=0")[4]
    assert max(int(part) for part in re.findall(r"\d+", colour)) < 64


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    return templates.write(tmp_path_factory.mktemp("reproduced") / "report.html", reproductions.html())


@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_of_claims_is_never_wider_than_the_screen_and_its_figures_run_nothing(tmp_path, reproduced, width):
    wide, _, _, size, colour, requests = measured(tmp_path, reproduced, width)  # no complaint: no script ran
    assert int(wide) <= width
    assert (size, requests, colour) == ("16px", "0", "rgb(255, 255, 255)")


def test_a_page_of_claims_is_dark_where_asked(tmp_path, reproduced):
    colour = measured(tmp_path, reproduced, 390, "--blink-settings=preferredColorScheme=0")[4]
    assert max(int(part) for part in re.findall(r"\d+", colour)) < 64


def test_it_prints(tmp_path, report):
    printed = tmp_path / "page.pdf"
    finished = chromium(tmp_path, report, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes().startswith(b"%PDF")
    assert complaints(finished.stderr) == []


def test_a_complaint_would_be_seen(tmp_path):
    faulty = tmp_path / "faulty.html"
    faulty.write_text('<script>console.error("seen")</script><img src="http://localhost:9/none.png">')
    assert complaints(chromium(tmp_path, faulty, "--dump-dom").stderr) != []
