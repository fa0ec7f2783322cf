"""What is shipped, what it is pinned to, and how lightly it starts."""

import ast
import importlib.metadata
import pkgutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eigenfall
from eigenfall import types

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.pyi")])
HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "jaxtyping")

# ------------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return zipfile.ZipFile(place / hatchling.build.build_wheel(str(place)))


def test_the_wheel_holds_every_file_of_the_package(wheel):
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in (source / "eigenfall").rglob("*") if path.is_file()}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == {
        name for name in files if "__pycache__" not in name
    }


def test_the_wheel_holds_what_is_not_python(wheel):
    suffixes = {Path(name).suffix for name in wheel.namelist() if ".dist-info/" not in name}
    assert {".py", ".pyi", ".typed", ".bib"} <= suffixes
    assert any(Path(name).parent.name == "report" and not name.endswith(".py") for name in wheel.namelist())


def test_the_wheel_holds_no_data_and_is_small(wheel):
    assert sum(entry.file_size for entry in wheel.infolist()) < 3_000_000
    assert sum(entry.file_size for entry in wheel.infolist() if not entry.filename.endswith(".py")) < 150_000
    data = {".gz", ".xz", ".npz", ".npy", ".pt", ".safetensors", ".mat", ".h5", ".nwb", ".csv"}
    assert not [name for name in wheel.namelist() if Path(name).suffix in data]


def test_the_wheel_names_the_command_and_the_licence(wheel):
    about = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "eigenfall = eigenfall.cli:main" in wheel.read(about["entry_points.txt"]).decode()
    assert "The eigenfall developers" in wheel.read(about["LICENSE"]).decode()


# -------------------------------------------------------------------------------- the pins


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(found.name): found.specifier for found in requirements}


def needed(requirements):
    """Every requirement that an installation brings here, transitive ones included."""
    found, waiting = {}, [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = requirement
        waiting += [Requirement(text) for text in required(name)]
    return found


def required(name):
    """What a package asks for; nothing of one that is not here: the group `docs` comes with `make docs` alone."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


ASKED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["dependency-groups"]["dev"],
    *PROJECT["dependency-groups"]["docs"],
    *(text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra),
    *PROJECT["build-system"]["requires"],
]


def test_every_dependency_is_pinned_transitive_ones_included():
    # CUDA builds of torch pin what they bring themselves
    ours = {name for name in needed(ASKED) if not name.startswith(("nvidia-", "triton", "cuda-"))}
    assert ours - set(pins()) == set()


@pytest.mark.parametrize("text", ASKED)
def test_each_pin_lies_in_its_range(text):
    requirement = Requirement(text)
    (pin,) = pins()[canonicalize_name(requirement.name)]
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version)


def test_what_is_pinned_is_what_runs():
    (torch,) = pins()["torch"]
    assert importlib.metadata.version("torch").partition("+")[0] == torch.version


GROUPS = {
    "dependencies": PROJECT["project"]["dependencies"],
    "dev": PROJECT["dependency-groups"]["dev"],
    "docs": PROJECT["dependency-groups"]["docs"],
    **PROJECT["project"]["optional-dependencies"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_dependency_carries_its_reason(group):
    lines = (ROOT / "pyproject.toml").read_text().partition(f"\n{group} = [\n")[2].partition("\n]")[0].splitlines()
    assert len(lines) == len(GROUPS[group])
    assert [line for line in lines if "  # " not in line] == []


def test_what_an_extra_brings_is_tested():
    assert {text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra} <= set(
        GROUPS["dev"]
    )


def test_continuous_integration_runs_the_readmes_second_command():
    last = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert last == "exec make test"
    assert "make demo\nmake test\n" in (ROOT / "README.md").read_text()


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    version = PROJECT["project"]["version"]
    assert eigenfall.__version__ == version
    assert f"\nversion: {version}\n" in citation
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


# --------------------------------------------------------------------------- the top level


def test_every_name_of_the_top_level_is_there():
    for name in eigenfall.__all__:
        assert getattr(eigenfall, name) is not None
    assert set(eigenfall.__all__) <= set(dir(eigenfall))


def test_every_noun_is_at_the_top_level():
    nouns = {
        name
        for name, value in vars(types).items()
        if isinstance(value, type) and value.__module__.startswith("eigenfall.types.")
    }
    assert nouns - {name for name in nouns if name.startswith("_")} <= set(eigenfall.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError) as refusal:
        eigenfall.mesure  # noqa: B018
    assert str(refusal.value) == "module 'eigenfall' has no attribute 'mesure'"


def test_the_stub_for_type_checkers_says_the_same():
    stub = ast.parse((ROOT / "src" / "eigenfall" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    said = {alias.asname: node.module for node in imports for alias in node.names if alias.asname == alias.name}
    declared = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert said == {name: f"eigenfall.{module}" for name, module in eigenfall._HOME.items()}
    assert declared == {"__version__"}


def test_no_module_bears_the_name_of_a_function_of_the_top_level():
    modules = {found.name for found in pkgutil.iter_modules(eigenfall.__path__)}
    assert modules & set(eigenfall.__all__) == set()


# ------------------------------------------------------------------------------- the start


def loaded_after(code):
    shown = f"{code}\nimport sys; print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import eigenfall; dir(eigenfall); eigenfall.__version__") == []


def test_a_noun_loads_what_it_needs():
    assert "torch" in loaded_after("import eigenfall; eigenfall.Spectrum")


@pytest.mark.parametrize("arguments", [["--help"], []], ids=["help", "nothing"])
def test_the_overview_loads_nothing_heavy(arguments):
    lines = ("import sys", f"sys.argv = ['eigenfall', *{arguments}]", "from eigenfall.cli import main")
    assert loaded_after("\n".join((*lines, "try: main()", "except SystemExit: pass"))) == []


def test_help_takes_less_than_a_third_of_a_second():
    command = [str(Path(sys.executable).parent / "eigenfall"), "--help"]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert "usage: eigenfall" in done.stdout
    assert min(times) < 0.3


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "src" / "eigenfall").as_posix())
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
