"""The documentation site: `make docs`, that is `mkdocs build --strict` with this file as its hook.

The reference is drawn from the package: a page for each kind of part, each module of nouns and every other module, so
that what is new has its place at once. Pages of the repository that lie outside `docs` (README, changes, contributing,
examples) become pages of the site, and links to them are turned to where they went. Only `reference` knows the package;
the rest is mkdocs' own business, imported when it calls.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eigenfall
from eigenfall import parts
from eigenfall.cli import COMMANDS

ROOT = Path(__file__).parents[1]
GITHUB_ONLY = ("LICENSE", "CITATION.cff")
FIRST = {
    "Tutorials": (
        "start.md",
        "tutorials/own-model.md",
        "tutorials/own-recordings.md",
        "tutorials/reproducing.md",
        "tutorials/adding-a-rule.md",
    ),
    "Guides": ("robustness.md", "local-learning.md", "adding-a-part.md"),
}
"""Pages in an order of their own; others follow by the alphabet."""


# --------------------------------------------------------------------- outside `docs`


def outside() -> dict[str, str]:
    """Pages of the site by the file of the repository that they show, for files that lie outside `docs`."""
    examples = sorted((ROOT / "examples").glob("*.py"))
    return {
        "README.md": "index.md",
        "CHANGELOG.md": "changes.md",
        "CONTRIBUTING.md": "contributing.md",
        **{f"examples/{path.name}": f"examples/{path.stem}.md" for path in examples},
        **{name: f"about/{name.lower().replace('.', '-')}.md" for name in GITHUB_ONLY},
    }


def text_of(source: str) -> str:
    """What the page of such a file says; links are as they are in the repository."""
    text = (ROOT / source).read_text()
    if source.endswith(".md"):
        return text
    language = {".py": "python", ".cff": "yaml"}.get(Path(source).suffix, "text")
    return f"# {source}\n\n````{language}\n{text}````\n"


def relinked(text: str, source: str, page: str) -> str:
    """The text of a page with its links turned from places in the repository to places on the site.

    Args:
        text: in Markdown.
        source: the file that it is of, from the root of the repository.
        page: where it is on the site, from the root of the site.
    """
    moved = outside()

    def turned(found: re.Match[str]) -> str:
        target, hash_, anchor = found[1].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        goal = moved.get(goal, goal.removeprefix("docs/"))
        return f"]({posixpath.relpath(goal, posixpath.dirname(page) or '.')}{hash_}{anchor})"

    pieces = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(piece if piece.startswith("```") else re.sub(r"\]\(([^)\s]+)\)", turned, piece) for piece in pieces)


# --------------------------------------------------------------------------- reference


@dataclass(frozen=True)
class Page:
    """A page of the reference.

    Attributes:
        path: on the site.
        title: its heading.
        lead: what stands before the modules, in Markdown.
        modules: that it shows, in this order.
    """

    path: str
    title: str
    lead: str
    modules: tuple[str, ...]

    @property
    def text(self) -> str:
        """The page in Markdown."""
        shown = "".join(f"\n::: {module}\n{_own_members(module)}" for module in self.modules)
        return f"# {self.title}\n\n{self.lead}\n{shown}"


def modules() -> list[str]:
    """Every public module of the package, by the alphabet."""
    found = (one.name for one in pkgutil.walk_packages(eigenfall.__path__, "eigenfall."))
    return sorted(name for name in found if not any(piece.startswith("_") for piece in name.split(".")))


def _file(module: str) -> Path:
    path = ROOT / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def headline(module: str) -> str:
    """First line of a module's docstring, read without importing it."""
    return (ast.get_docstring(ast.parse(_file(module).read_text())) or "").partition("\n")[0]


def _own_members(module: str) -> str:
    """Of a folder, what its own file defines: what it takes from its modules stands there already."""
    file = _file(module)
    if file.name != "__init__.py":
        return ""
    body = ast.parse(file.read_text()).body
    defined = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    constants = [target for node in body if isinstance(node, ast.Assign | ast.AnnAssign) for target in _targets(node)]
    own = [name for name in (*constants, *defined) if not name.startswith("_")]
    return f"    options:\n      members: {json.dumps(own) if own else 'false'}\n"


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _table(head: tuple[str, str], lines: list[tuple[str, str]]) -> str:
    said = "\n".join(f"| {name} | {words.replace('|', '&#124;')} |" for name, words in lines)
    return f"| {head[0]} | {head[1]} |\n|---|---|\n{said}\n"


def _of_kind(kind: str, held: list[str]) -> Page:
    """A kind: its parts and their presets, then each part's file."""
    names = [module.rpartition(".")[2] for module in held if module.count(".") == 2]
    rows = [(f"[`{name}`](#eigenfall.{kind}.{name})", headline(f"eigenfall.{kind}.{name}")) for name in names]
    presets = [
        (f"`{name}@{preset}`", f"`{parts.spell(part)}`")
        for name in names
        for preset, part in parts.presets(kind, name).items()
    ]
    lead = f"At the prompt: `eigenfall parts {kind}`.\n\n{_table(('part', 'what it is'), rows)}"
    if presets:
        lead += f"\n{_table(('preset', 'its settings'), presets)}"
    return Page(f"reference/parts/{kind}.md", kind.capitalize(), lead, tuple(held))


def reference() -> list[Page]:
    """Pages of the reference: every public module of the package stands on one of them."""
    every = modules()
    pages = []
    for top in sorted({module.split(".")[1] for module in every}):
        held = [module for module in every if module.split(".")[1] == top]
        if top in parts.KINDS:
            pages.append(_of_kind(top, held))
        elif top == "types":
            pages += [_nouns(module) for module in held if module != "eigenfall.types"]
        elif top == "commands":
            own = [f"eigenfall.commands.{name}" for name in COMMANDS]
            rows = [
                (f"[`{name}`](#eigenfall.commands.{name})", f"{says[0].upper()}{says[1:]}.")
                for name, says in COMMANDS.items()
            ]
            lead = f"`eigenfall COMMAND --help` says the same.\n\n{_table(('command', 'what it is for'), rows)}"
            rest = [module for module in held if module not in own]
            pages.append(Page("reference/commands.md", "Commands", lead, (*own, *rest)))
        else:
            pages.append(Page(f"reference/modules/{top}.md", f"eigenfall.{top}", "", tuple(held)))
    return [_overview(pages), *pages]


def _nouns(module: str) -> Page:
    name = module.rpartition(".")[2]
    return Page(f"reference/nouns/{name}.md", name.capitalize(), "", (module,))


def _overview(pages: list[Page]) -> Page:
    """Every name of the top level, then every page."""
    home = eigenfall._HOME
    names = [(f"[`eigenfall.{name}`][{getattr(eigenfall, name).__module__}.{name}]", at) for name, at in home.items()]
    verbs, nouns = ([name for name, place in names if (place == "types") == noun] for noun in (False, True))
    lead = (
        "Names of the package's top level. What can be called:\n\n"
        + "".join(f"- {name}\n" for name in verbs)
        + "\nNouns, values with shapes ([notation](../notation.md)):\n\n"
        + "".join(f"- {name}\n" for name in nouns)
        + f"\n{inspect.getdoc(importlib.import_module('eigenfall.types'))}\n"
        + "\n`eigenfall.__version__` is the version.\n\n## Kinds of part\n\n"
        + _listed(pages, "reference/parts/")
        + "\n## Modules\n\n"
        + _listed(pages, "reference/modules/")
    )
    return Page("reference/index.md", "Reference", lead, ())


def _listed(pages: list[Page], under: str) -> str:
    held = [page for page in pages if page.path.startswith(under)]
    return _table(
        ("page", "what it is"),
        [(f"[{page.title}]({page.path.removeprefix('reference/')})", headline(page.modules[0])) for page in held],
    )


# ------------------------------------------------------------------------------- mkdocs


def navigation() -> list[dict[str, Any]]:
    """The site's table of contents: a page of `docs` that is new finds its place by its folder."""
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    named = {name for group in FIRST.values() for name in group} | {"notation.md"}
    by_folder = {
        folder: sorted(name for name in pages - named if posixpath.dirname(name) == folder)
        for folder in ("", "tutorials", "papers", "decisions")
    }
    drawn = reference()

    def under(place: str) -> list[str]:
        return [page.path for page in drawn if page.path.startswith(place)]

    return [
        {"eigenfall": "index.md"},
        {"Tutorials": [*FIRST["Tutorials"], *by_folder["tutorials"]]},
        {"Guides": [*FIRST["Guides"], *by_folder[""]]},
        {"Papers": by_folder["papers"]},
        {"Notation": "notation.md"},
        {
            "Reference": [
                "reference/index.md",
                "reference/commands.md",
                {"Kinds of part": under("reference/parts/")},
                {"Nouns": under("reference/nouns/")},
                {"Modules": under("reference/modules/")},
            ]
        },
        {"Decisions": ["decisions/README.md", *(name for name in by_folder["decisions"] if "README" not in name)]},
        {"About": [page for source, page in outside().items() if source not in ("README.md",)]},
    ]


def _generated() -> Iterator[tuple[str, str]]:
    """Path and text of each page that is no file of `docs`."""
    for source, page in outside().items():
        yield page, relinked(text_of(source), source, page)
    for page in reference():
        yield page.path, page.text


def on_config(config: Any) -> Any:
    """Set the table of contents."""
    config.nav = navigation()
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are no files of `docs`."""
    from mkdocs.structure.files import File

    for path, text in _generated():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links of a file of `docs` to what lies outside."""
    written = page.file.generated_by is None
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri) if written else markdown


# ----------------------------------------------------------------------- what was built


FETCHED = re.compile(r"""<(?:script|link|img|iframe|source|video|audio)\b[^>]*?\b(?:src|href)=["']?(https?:)?//""")


def from_the_network(pages: Mapping[str, str]) -> list[str]:
    """Pages, by their text, that would fetch something from the network to be shown."""
    return [name for name, text in pages.items() if FETCHED.search(text)]
