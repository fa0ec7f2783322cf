"""The documentation site: what it is drawn from holds every public name, and what is built needs no network."""

import ast
import importlib.util
import logging
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import griffe
import pytest

import eigenfall
from eigenfall import parts
from eigenfall.cli import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site():
    """The hook of mkdocs, as a module."""
    spec = importlib.util.spec_from_file_location("make_site", ROOT / "docs" / "make_site.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def pages(site):
    return {page.path: page for page in site.reference()}


@pytest.fixture(scope="module")
def package():
    """The package as griffe reads it, and what it complained of."""
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("griffe")
    logger.addHandler(handler)
    loaded = griffe.load("eigenfall", search_paths=[str(ROOT / "src")], docstring_parser="google")
    yield loaded, said
    logger.removeHandler(handler)


def objects(found):
    """Everything public that is defined in an object of griffe, itself among it."""
    yield found
    for name, member in found.members.items():
        public = not name.startswith("_") or name == "__call__"
        if public and not member.is_alias and (member.is_module or member.is_class or member.is_function):
            yield from objects(member)


def shown(page):
    """Modules that a page shows, each with the members that it is limited to, or `None`."""
    found = re.findall(r"^::: (\S+)\n(?:    options:\n      members: (.*)\n)?", page.text, re.MULTILINE)
    return {module: ast.literal_eval(limit.replace("false", "[]")) if limit else None for module, limit in found}


# --------------------------------------------------------------------------- reference


def test_every_module_is_on_one_page(site, pages):
    held = [module for page in pages.values() for module in page.modules]
    assert sorted(held) == sorted(set(held))
    folders_of_nouns = {"eigenfall.types"}  # its words open the overview
    assert set(site.modules()) - folders_of_nouns == set(held)
    files = {path for path in (ROOT / "src" / "eigenfall").rglob("*.py") if not path.name.startswith("_")}
    assert {site._file(module) for module in site.modules()} >= files


def test_every_name_of_the_top_level_is_on_a_page(pages):
    on_pages = {module: limit for page in pages.values() for module, limit in shown(page).items()}
    for name in set(eigenfall.__all__) - {"__version__"}:
        home = getattr(eigenfall, name).__module__
        assert home in on_pages
        assert on_pages[home] is None or name in on_pages[home]
        assert f"[`eigenfall.{name}`][{home}.{name}]" in pages["reference/index.md"].text
    assert "`eigenfall.__version__`" in pages["reference/index.md"].text


def test_every_part_of_every_kind_is_on_its_kinds_page(pages):
    for kind in parts.KINDS:
        page = pages[f"reference/parts/{kind}.md"]
        for name in parts.names(kind):
            assert shown(page)[f"eigenfall.{kind}.{name}"] is None
            assert f"| [`{name}`](#eigenfall.{kind}.{name}) | {parts.headline(kind, name)} |" in page.lead
            for preset in parts.presets(kind, name):
                assert f"| `{name}@{preset}` | `{name}" in page.lead


def test_every_command_is_on_the_page_of_commands(pages):
    page = pages["reference/commands.md"]
    assert list(shown(page))[: len(COMMANDS)] == [f"eigenfall.commands.{command}" for command in COMMANDS]


def test_a_folder_shows_what_its_own_file_defines(pages):
    of_checks, of_figures = (shown(pages[f"reference/{name}.md"]) for name in ("parts/checks", "modules/figures"))
    assert "Counting" in of_checks["eigenfall.checks"]
    assert "plot" in of_figures["eigenfall.figures"]
    assert shown(pages["reference/parts/attacks.md"])["eigenfall.attacks"] == []


def test_every_docstring_is_read_without_complaint(package):
    loaded, said = package
    found = list(objects(loaded))
    for one in found:
        assert one.docstring is not None, one.path
        assert one.docstring.parsed
    assert len(found) > 1000
    assert said == []


def test_a_docstring_that_cannot_be_read_would_be_seen(package):
    _, said = package
    before = list(said)
    with griffe.temporary_visited_module('def f(a: int):\n    """F.\n\n    Args:\n        b: no.\n    """\n') as module:
        assert griffe.Docstring(module["f"].docstring.value, parent=module["f"], parser="google").parsed
    assert any("'b' does not appear in the function signature" in sentence for sentence in said)
    said[:] = before


# ------------------------------------------------------------------------- pages and links


def flat(entries):
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for held in entry.values():
                yield from [held] if isinstance(held, str) else flat(held)


def test_every_page_is_in_the_table_of_contents_once(site, pages):
    listed = list(flat(site.navigation()))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(written | set(pages) | set(site.outside().values()))


@pytest.mark.parametrize(
    ("source", "page", "link", "turned"),
    [
        ("README.md", "index.md", "docs/start.md#train", "start.md#train"),
        ("README.md", "index.md", "CHANGELOG.md", "changes.md"),
        ("README.md", "index.md", "LICENSE", "about/license.md"),
        ("docs/tutorials/own-model.md", "tutorials/own-model.md", "../fits.md", "../fits.md"),
        (
            "docs/tutorials/own-model.md",
            "tutorials/own-model.md",
            "../../examples/own_model.py",
            "../examples/own_model.md",
        ),
        ("docs/adding-a-part.md", "adding-a-part.md", "#example", "#example"),
        ("docs/start.md", "start.md", "https://pytorch.org", "https://pytorch.org"),
    ],
)
def test_a_link_leads_to_the_same_place_on_the_site(site, source, page, link, turned):
    text = f"See [it]({link}).\n\n```python\nhandlers[0]({link})\n```\n"
    assert site.relinked(text, source, page) == text.replace(f"[it]({link})", f"[it]({turned})")


def test_what_would_be_fetched_is_seen(site):
    pages = {
        "a": '<script src="https://cdn.example/mathjax.js">',
        "b": '<link rel="stylesheet" href=//fonts.example/css>',
        "c": '<a href="https://arxiv.org">, <img src="pictures/demo.svg">',
    }
    assert site.from_the_network(pages) == ["a", "b"]


# ------------------------------------------------------------------------------ the site


class Outline(HTMLParser):
    """Ids and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag in ("a", "img", "script", "link"):
            self.links.append(found.get("href") or found.get("src") or "")


@pytest.mark.slow
def test_the_site_is_built_without_a_word_and_holds_every_name(site, package, tmp_path):
    pytest.importorskip("mkdocs", reason="the group `docs` is not installed: make docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    built = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.html")}
    assert site.from_the_network(built) == []
    outlines = {name: Outline(text) for name, text in built.items()}
    anchors = {one for outline in outlines.values() for one in outline.ids}
    kept = set(site.modules())
    names = {one.path for one in objects(package[0]) if (one if one.is_module else one.module).path in kept}
    assert names - anchors - {"eigenfall.types"} == set()
    for name, outline in outlines.items():
        for link in outline.links:
            target, _, anchor = link.partition("#")
            if name == "404.html" or ":" in target:
                continue
            goal = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
            assert (tmp_path / goal).exists(), f"{name}: {link}"
            assert not anchor or goal not in outlines or anchor in outlines[goal].ids, f"{name}: {link}"
