"""Arrows point one way: a module imports from lower levels only, and a kind never from another kind."""

import ast
from pathlib import Path

import pytest

from eigenfall.parts import KINDS

PACKAGE = Path(__file__).parents[1] / "src" / "eigenfall"

LEVELS: tuple[tuple[str, ...], ...] = (
    # 0: values and shared maths
    ("check",),
    (
        "grammar",
        "atomic",
        "bins",
        "contracts",
        "defaults",
        "deferred",
        "formats",
        "grids",
        "laws",
        "linalg",
        "precision",
        "subnormals",
        "processes",
        "scaling",
        "silverstein",
        "sources",
        "statistics",
        "streams",
    ),
    (
        "axes",
        "digests",
        "extras",
        "labels",
        "locks",
        "npyfiles",
        "signatures",
        "spontaneous",
        "suite2pfolder",
        "survival",
    ),
    ("whiteningmatrices",),
    ("clients", "events", "gaps", "hdf5files", "mat5files"),
    ("mat73files", "nwbtables", "pieces"),
    ("matfiles",),
    ("downloads", "excess", "types"),
    ("distances",),
    ("bases", "datafiles", "layers", "objectives", "packing", "references", "repeats", "rows", "splits", "stages"),
    ("convergence", "pruning", "whitening"),
    (
        "associations",
        "blocks",
        "contrasts",
        "distributions",
        "eigenmoments",
        "grams",
        "jackknife",
        "momentfits",
        "ridge",
        "shrinking",
    ),
    ("corruptionerror", "operatornorms", "planes", "sensitivity", "smoothnessrows", "snapshots", "subsets", "windows"),
    ("globalbounds",),
    ("cluster", "population", "presentations", "slopes"),
    ("assemblies", "recorded", "stored"),
    # 1: the kinds of part
    KINDS,
    # 2: the registry, the figures and the verbs
    ("parts", "plans"),
    ("adversarial", "displaced", "passes"),
    ("optimisation",),
    ("activations", "figures", "intervals", "learning", "records", "robustness", "simulated", "training"),
    ("hiddenlandscapes", "index", "landscapes", "models", "readout"),
    # 3
    ("coverage", "neighbourhoods", "pipeline", "presets", "rivals", "subsampling", "surroundings"),
    ("beside",),
    ("exponents",),
    ("measurement", "comparison", "settings"),
    ("histories", "judgements"),
    ("learnt",),
    ("runs",),
    # 4, 5, 6, 7
    ("attempts",),
    ("workers",),
    ("dispatch",),
    ("exporting", "sweep", "tracking", "verification"),
    ("papers",),
    ("atlas",),
    ("report",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""Whoever stands in a line imports from the lines above it, and from its own folder."""

RANK = {name: rank for rank, line in enumerate(LEVELS) for name in line}
REPORT_READS = {"atomic", "check", "extras", "figures", "records", "report", "types"}
"""A page is made of records and figures, and written: it computes nothing."""


def imported(source: str, modules: set[str]) -> set[str]:
    """First name after `eigenfall` of each module that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("eigenfall.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written from the package's name"
            if node.module == "eigenfall":
                found |= {alias.name if alias.name in modules else "__init__" for alias in node.names}
            elif node.module.startswith("eigenfall."):
                found.add(node.module.split(".")[1])
    return found


def wrong_arrows(name: str, source: str) -> set[str]:
    """What a module of this name imports and must not."""
    wrong = {other for other in imported(source, set(RANK)) if other != name and RANK.get(other, 99) >= RANK[name]}
    return wrong | (imported(source, set(RANK)) - REPORT_READS if name == "report" else set())


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_below(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert name in RANK, f"{name} has no level: give it a line in LEVELS, and in the design if it is a new idea"
    assert wrong_arrows(name, path.read_text()) == set()


def test_the_top_level_imports_nothing_of_its_own():
    assert imported((PACKAGE / "__init__.py").read_text(), set(RANK)) == set()


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("types", "from eigenfall.layers import view", {"layers"}),  # up
        ("fits", "from eigenfall.spectra.pca import PCA", {"spectra"}),  # sideways
        ("attacks", "from eigenfall.attacks.fgsm import FGSM", set()),  # its own folder
        ("measurement", "def f():\n    import eigenfall.runs", {"runs"}),  # late, and still an arrow
        ("check", "from eigenfall import types", {"types"}),
        ("fits", "from eigenfall import measure", {"__init__"}),
        ("report", "from eigenfall.records import load", set()),
        ("report", "from eigenfall.robustness import robustness", {"robustness"}),  # a page computes nothing
        ("cli", "import eigenfall.commands.demo, torch", set()),
    ],
)
def test_a_wrong_arrow_is_seen(name, source, wrong):
    assert wrong_arrows(name, source) == wrong
