"""The page of a reproduced paper: claims with their verdicts, figures that can run nothing, one file or none."""

import base64
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import FrozenInstanceError, replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import reproductions
from reproductions import LONG, MARKUP, SVG

from eigenfall.report import reproduction, templates
from eigenfall.report.reproduction import Shown
from eigenfall.types import Answer, Claim, Judged


class Outline(HTMLParser):
    """What stands where: rows of the claims as lists of texts, tags, and every attribute that could load or run."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.rows, self.tags, self.sources, self.handlers, self.inside = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if {"th", "td"} & set(self.inside):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page():
    return reproductions.html()


def rows_of(page):
    return {row[0]: row[1:] for row in Outline(page).rows}


def test_a_row_says_what_the_paper_says_and_both_answers(page):
    found = rows_of(page)
    for one in reproductions.judged():
        where, says, published, corrected = found[one.claim.key]
        assert (where, says) == (one.claim.where, one.claim.says)
        assert published == f"{one.published.verdict} {one.published.told}"
        assert corrected == f"{one.corrected.verdict} {one.corrected.told}"
    assert found["claim"] == ["where", "paper says", "as published" + "verdict, what we got",
                              "corrected" + "verdict, what we got"]  # fmt: skip


def test_every_verdict_has_a_look_of_its_own(page):
    style = page.partition("<style>")[2].partition("</style>")[0]
    for word in reproduction.WORDS:
        look = word.lower().replace(" ", "-")
        assert f'<b class="box {look}">{word}</b>' in page
        assert f".{look}" in style


def test_sections_keep_their_claims_in_order(page):
    concluded, distances = (page.index(f"<h3>{name}") for name in ("What the paper concludes", "Critical distances"))
    assert concluded < page.index("Q1 random</th>") < distances < page.index("7.3 random KH</th>")
    tables = reproduction.claims(reproductions.judged())
    assert [len(table.rows) for table in tables] == [3, 4]


def test_names_that_look_like_markup_are_text(page):
    outline = Outline(page)
    assert "script" not in outline.tags
    assert outline.handlers == []
    assert MARKUP in rows_of(page)
    assert rows_of(page)[MARKUP][0] == "§7.8 <b>Q5</b>"
    assert LONG in page.replace("<wbr>", "")


def test_title_question_answer_and_command_are_text_as_well():
    page = reproductions.html(title=MARKUP, question=MARKUP, answer=MARKUP, command=MARKUP, beside='"><script>')
    assert "script" not in Outline(page).tags
    assert page.count("&lt;script&gt;document.title") >= 5


def test_figures_lie_in_the_page_as_images(page):
    outline = Outline(page)
    images = [source for source in outline.sources if source.startswith("data:image/svg+xml;base64,")]
    assert [base64.b64decode(image.partition(",")[2]).decode() for image in images] == [SVG, SVG]
    assert outline.tags.count("img") == 2
    assert "svg" not in outline.tags
    assert set(outline.sources) - set(images) == {"data:,", "runs.html"}
    assert "default-src 'none'" in page


def test_a_page_without_tables_figures_or_runs_beside_it_says_the_rest():
    page = reproductions.html(tables=[], pictures=[], beside="")
    assert '<h2 id="figures">' not in page
    assert "What the paper leaves open" not in page
    assert "Every run, with" not in page
    assert '<h2 id="made">How it was made</h2>' in page


def test_headings_are_in_order_and_every_section_is_named(page):
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for name in re.findall(r'aria-labelledby="([^"]*)"', page):
        assert f'id="{name}"' in page


def test_the_tally_counts_verdicts_under_both_semantics():
    assert reproduction.tally(reproductions.judged()) == (
        "published: 1 HOLDS, 5 NOT TESTED, 1 VOID; corrected: 1 HOLDS, 1 FAILS, 1 OPEN, 4 NOT TESTED"
    )


def test_an_images_bytes_come_back_from_its_address():
    shown = Shown("a", b'<svg>"\xce\xbb"</svg>', "b")
    assert re.fullmatch(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*", shown.data)
    assert base64.b64decode(shown.data.partition(",")[2]) == shown.svg
    assert ET.fromstring(SVG).tag.endswith("svg")  # so that what the browser's test shows is a figure


def test_values_are_frozen_and_bare_ones_know_nothing():
    answer = Answer("NOT TESTED")
    assert (answer.number, answer.told, answer.seeds, dict(answer.parts)) == (None, "", 0, {})
    claim = Claim("a", "§1", "b")
    assert (claim.low, claim.high, claim.scales, claim.void, claim.section) == (None, None, (), "", "")
    for value, name in ((answer, "verdict"), (claim, "key"), (Judged(claim, answer, answer), "claim")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "other")
    assert replace(claim, section="c") != claim


# ------------------------------------------------------------------------------------ writing


def test_a_page_is_written_with_its_folder(tmp_path, page):
    path = templates.write(tmp_path / "deep" / "er" / "report.html", page)
    assert path.read_text(encoding="utf-8") == page
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    path = templates.write(tmp_path / "report.html", "before")
    with pytest.raises(UnicodeEncodeError):
        templates.write(path, "half of it \udc80")  # what no file in UTF-8 can hold
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_take_its_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "report.html" / "inside").mkdir(parents=True)  # a folder of that name is not replaced
    with pytest.raises(ValueError, match="Is a directory"):
        templates.write(tmp_path / "report.html", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert str(os.getpid()) not in "".join(entry.name for entry in tmp_path.iterdir())
