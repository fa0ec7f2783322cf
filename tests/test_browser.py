"""The page in a real browser, from disk, without network: no complaint, no request, nothing wider than the screen."""

import re
from pathlib import Path

import exploredrecords
import pagerecords
import plantedatlas
import pytest
import recordingrecords
import reproductions
from browsing import CHROMIUM, chromium, complaints, measured
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from eigenfall.atlas.points import gathered
from eigenfall.commands import charting
from eigenfall.report import page, templates

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


# ----------------------------------------------------------------- the interactive page, by hand

DRIVER = Path("/usr/bin/chromedriver")
by_hand = pytest.mark.skipif(not DRIVER.exists(), reason="ChromeDriver is not installed at /usr/bin/chromedriver")


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored")
    return page.write(exploredrecords.four(), folder / "report.html", "A title", "eigenfall report", interactive=True)


@pytest.fixture(scope="module")
def opened(explored, tmp_path_factory):
    """The page in a browser that a test can work, no host name resolvable."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,1400",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = str(CHROMIUM)
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    browser.get(explored.resolve().as_uri())
    yield browser
    browser.quit()


def status(opened):
    return opened.find_element(By.ID, "explore-status").text


@by_hand
def test_axes_are_chosen_and_nothing_complains_or_is_asked_for(opened):
    assert status(opened) == "4 of 4 runs, 2 of 2 arms."
    Select(opened.find_element(By.ID, "explore-y")).select_by_visible_text("accuracy under fgsm, ε = 0.05 (%)")
    drawn = opened.find_element(By.ID, "explore-plot")
    assert drawn.get_attribute("aria-label").startswith(
        "accuracy under fgsm, ε = 0.05 (%) against exponent α, hidden1."
    )
    heights = opened.execute_script("return document.getElementById('explore-plot').data[0].y")
    assert heights == pytest.approx([20, 22])
    assert opened.get_log("browser") == []
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0


@by_hand
def test_arms_are_chosen_by_keyboard_and_by_name(opened):
    box = opened.find_element(By.CSS_SELECTOR, "[data-arm='0']")
    box.send_keys(Keys.SPACE)
    assert status(opened) == "2 of 4 runs, 1 of 2 arms."
    box.send_keys(Keys.SPACE)
    search = opened.find_element(By.ID, "explore-search")
    search.send_keys("PLAIN")
    opened.find_element(By.ID, "explore-none").click()  # of those that are found
    assert status(opened) == "2 of 4 runs, 1 of 2 arms."
    opened.find_element(By.ID, "explore-all").click()
    search.clear()
    assert status(opened) == "4 of 4 runs, 2 of 2 arms."


@by_hand
def test_a_run_tells_its_numbers_and_leads_to_its_row_and_its_name_is_no_markup(opened):
    opened.execute_script("document.getElementById('explore-plot').scrollIntoView({block: 'center'})")
    point = opened.find_elements(By.CSS_SELECTOR, "#explore-plot .trace:nth-of-type(3) .point")[0]
    ActionChains(opened).move_to_element(point).perform()
    told = WebDriverWait(opened, 10).until(lambda page: page.find_element(By.CSS_SELECTOR, ".hovertext").text)
    assert "<img src=x onerror=alert(1)>" in told
    assert "exponent α, hidden1: 1 [0.9, 1.1]" in told
    ActionChains(opened).move_to_element(point).click().perform()
    WebDriverWait(opened, 10).until(lambda page: page.current_url.endswith("#run-1-0"))
    assert opened.switch_to.active_element.get_attribute("id") == "run-1-0"
    assert opened.execute_script("return document.querySelectorAll('img').length") == 0
    assert opened.get_log("browser") == []


@by_hand
def test_pointing_at_a_run_moves_no_axis(opened):
    """Bars that widened an axis moved the run from under the pointer, and were drawn and taken away without end."""
    ranges = "const {xaxis, yaxis} = document.getElementById('explore-plot').layout; return [xaxis.range, yaxis.range]"
    opened.find_element(By.ID, "explore-none").click()
    opened.find_element(By.ID, "explore-all").click()
    before = opened.execute_script(ranges)
    opened.execute_script("document.getElementById('explore-plot').scrollIntoView({block: 'center'})")
    for point in opened.find_elements(By.CSS_SELECTOR, "#explore-plot .point"):
        ActionChains(opened).move_to_element(point).perform()
    assert opened.execute_script(ranges) == before
    assert opened.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_interactive_page_is_never_wider_than_the_screen(tmp_path, explored, width):
    wide, _, _, size, _, requests = measured(tmp_path, explored, width)
    assert int(wide) <= width
    assert (size, requests) == ("16px", "0")


def test_it_prints(tmp_path, report):
    printed = tmp_path / "page.pdf"
    finished = chromium(tmp_path, report, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes().startswith(b"%PDF")
    assert complaints(finished.stderr) == []


def test_a_complaint_would_be_seen(tmp_path):
    faulty = tmp_path / "faulty.html"
    faulty.write_text('<script>console.error("seen")</script><img src="http://localhost:9/none.png">')
    assert complaints(chromium(tmp_path, faulty, "--dump-dom").stderr) != []
