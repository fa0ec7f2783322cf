"""What is given away: a source archive that is whole, a wheel made from it, and the Pythons that they are for."""

import configparser
import functools
import importlib.metadata
import pkgutil
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PYTHONS = [
    text.rpartition(" ")[2]
    for text in PROJECT["classifiers"]
    if text.startswith("Programming Language :: Python :: 3.")
]
DATA = {".gz", ".xz", ".npz", ".npy", ".pt", ".pt2", ".safetensors", ".mat", ".h5", ".nwb", ".csv", ".parquet", ".pkl"}
NOT_HERE: set[str] = set()
"""Packages of extras that the tests do without, each for a reason that its own test says."""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source archive, unpacked."""
    place = tmp_path_factory.mktemp("sdist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = hatchling.build.build_sdist(str(place))
    with tarfile.open(place / name) as archive:
        archive.extractall(place, filter="data")
    return place / name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist):
    """The wheel, made from the source archive alone, as pip makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sdist)
        return sdist.parent / hatchling.build.build_wheel(str(sdist.parent))


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def ours(folder):
    """Files of the source that belong to it."""
    return {name for name in files(folder) if "__pycache__" not in name and ".egg-info" not in name}


# ------------------------------------------------------------------------ source archive


def test_the_source_archive_holds_all_that_the_readme_promises(sdist):
    assert {path.name for path in sdist.iterdir()} == {
        *("src", "tests", "docs", "examples", "bench"),
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"),
        *("pyproject.toml", "Makefile", "mkdocs.yml", "constraints.txt", "PKG-INFO", ".gitignore"),
    }
    for name in ("src", "tests", "docs", "examples", "bench"):
        assert ours(sdist / name) == ours(ROOT / name)


def test_the_source_archive_holds_no_data_and_is_small(sdist):
    assert {name for name in files(sdist) if Path(name).suffix in DATA} == set()
    assert sum((sdist / name).stat().st_size for name in files(sdist)) < 10_000_000


# --------------------------------------------------------------------------------- wheel


def test_the_wheel_of_the_source_archive_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    assert held == {name: (source / name).read_bytes() for name in ours(source)}
    assert {name.partition("/")[0] for name in held} == {"eigenfall"}
    assert {"eigenfall/py.typed", "eigenfall/references.bib", "eigenfall/report/template.html"} <= set(held)


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Metadata.from_email(archive.read(name), validate=True)


def test_the_metadata_are_valid_and_say_what_pyproject_says(metadata):
    assert (metadata.name, str(metadata.version)) == ("eigenfall", PROJECT["version"])
    assert metadata.license_expression == "BSD-3-Clause"
    assert metadata.license_files == ["LICENSE"]
    assert metadata.description == (ROOT / "README.md").read_text()
    assert metadata.description_content_type == "text/markdown"
    assert metadata.classifiers == PROJECT["classifiers"]
    assert set(metadata.provides_extra) == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_what_an_extra_asks_for_is_here_in_its_range(metadata, extra):
    asked = [one for one in metadata.requires_dist if one.marker is None or one.marker.evaluate({"extra": extra})]
    for one in asked:
        if one.name not in NOT_HERE:
            assert one.specifier.contains(importlib.metadata.version(one.name), prereleases=True), one
    own = PROJECT["optional-dependencies"].get(extra, [])
    assert {Requirement(text).name for text in own} <= {one.name for one in asked}


def test_what_is_not_here_is_truly_not_here():
    installed = {found.metadata["Name"].lower() for found in importlib.metadata.distributions()}
    assert {name.lower() for name in NOT_HERE} & installed == set()


def test_the_command_can_be_loaded(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        points = configparser.ConfigParser()
        points.read_string(archive.read(name).decode())
    assert {group: dict(points[group]) for group in points.sections()} == {
        "console_scripts": {"eigenfall": "eigenfall.cli:main"}
    }
    assert callable(pkgutil.resolve_name(points["console_scripts"]["eigenfall"]))


# ------------------------------------------------------------------------------- Pythons


def test_the_lowest_python_is_the_same_everywhere():
    assert PYTHONS == ["3.11", "3.12", "3.13"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert all(allowed.contains(f"{python}.0") for python in PYTHONS)
    major, minor = Version(PYTHONS[0]).release
    assert not allowed.contains(f"{major}.{minor - 1}.99")
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{major}{minor}"
    assert PYPROJECT["tool"]["pyright"]["pythonVersion"] == PYTHONS[0]


@functools.cache
def interpreter(python):
    """An interpreter of this version on this machine that runs, or `None`."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python"))
    for path in (*map(str, kept), shutil.which(f"python{python}")):
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


@pytest.fixture(params=PYTHONS)
def python(request):
    if interpreter(request.param) is None:
        pytest.skip(f"There is no Python {request.param} here.")
    return interpreter(request.param)


COMPILE = """
import pathlib, sys, warnings
warnings.simplefilter("error")
found = sorted(pathlib.Path(sys.argv[1]).rglob("*.py"))
for path in found:
    compile(path.read_text(encoding="utf-8"), str(path), "exec")
print(len(found))
"""


@pytest.mark.slow
def test_every_python_reads_the_source_without_a_warning(python):
    for folder in ("src", "examples", "tests"):
        done = subprocess.run([python, "-c", COMPILE, str(ROOT / folder)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert int(done.stdout) == len(list((ROOT / folder).rglob("*.py")))


def installed(python, wheel, place):
    """The interpreter of a clean environment that holds the wheel alone."""
    subprocess.run([python, "-m", "venv", str(place)], check=True)
    own = place / "bin" / "python"
    command = [str(own), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*command, str(wheel)], check=True)
    return own


def said(command, place):
    """What a command of a clean environment says, away from the repository."""
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(place), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), cwd=place, env=clean, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_the_wheel_starts_in_a_clean_environment_of_every_python(python, wheel, tmp_path):
    own = installed(python, wheel, tmp_path / "environment")
    for program in ([own, "-m", "eigenfall"], [own.parent / "eigenfall"]):
        assert said([*program, "--version"], tmp_path) == (0, f"eigenfall {PROJECT['version']}\n", "")
        status, shown, _ = said([*program, "--help"], tmp_path)
        assert (status, shown.partition("\n")[0]) == (0, "usage: eigenfall COMMAND ...")
        sentence = "eigenfall: Expected a known command, got 'trian'. Did you mean 'train'?\n"
        assert said([*program, "trian"], tmp_path) == (2, "", sentence)


@pytest.mark.slow
def test_the_installed_wheel_runs_beside_its_dependencies(wheel, tmp_path):
    own = installed(sys.executable, wheel, tmp_path / "environment")
    (kept,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (kept / "beside.pth").write_text("\n".join(here) + "\n")
    status, shown, complaint = said([own, "-c", "import eigenfall.parts as p; print(p.__file__)"], tmp_path)
    assert (status, complaint) == (0, "")
    assert Path(shown.strip()).is_relative_to(kept)
    status, shown, complaint = said([own, "-m", "eigenfall", "parts", "penalties", "--json", "-"], tmp_path)
    assert status == 0, complaint
    assert '"kind": "penalties"' in shown
