"""The folder is the registry, and one grammar writes every part."""

import importlib
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from exact import power_law

from eigenfall import parts
from eigenfall.cli import main
from eigenfall.defaults import later

ROOT = Path(__file__).parents[2]

MODULE = '''
"""Somebody else's parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Kick:
    """Kick an input.

    Attributes:
        path: where the kicks lie: a file,
            one kick a line.
        strength: how hard.
        sides: which.
    """

    path: Path
    strength: float = 1.0
    sides: tuple[str, ...] = ("left",)
    mode: Literal["hard", "soft"] = "hard"
    attack: Any = None

    def __call__(self, model, inputs, targets, threat, epsilon, generator):
        return self.strength


class Plain:
    def __call__(self):
        return 0


@dataclass
class Melting:
    def __call__(self):
        return 0


@dataclass(frozen=True)
class Silent:
    strength: float = 1.0


def function():
    return 0


PRESETS = {"gentle": Kick(path=Path("a.npz"), strength=0.5)}
'''


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A package `elsewhere.kicks`, and `kicks` beside it, on the path."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "__init__.py").write_text("")
    (tmp_path / "elsewhere" / "kicks.py").write_text(MODULE)
    (tmp_path / "elsewhere" / "broken.py").write_text("1 / 0\n")
    (tmp_path / "lonelykicks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("elsewhere", "lonelykicks")]:
        del sys.modules[name]


@pytest.fixture
def installed(elsewhere):
    """The same, brought in by the entry points of an installed distribution."""
    metadata = elsewhere / "elsewhere-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[eigenfall.attacks]\nkick = elsewhere.kicks:Kick\npgd = elsewhere.kicks:Kick\n"
        "[eigenfall.fits]\ncrowded = elsewhere.kicks\n"
    )
    return elsewhere


def refusal(act, *arguments):
    with pytest.raises(ValueError) as refused:
        act(*arguments)
    return str(refused.value)


# ------------------------------------------------------------------------------- registry


def test_the_folder_is_the_registry():
    folder = Path(parts.__file__).parent
    for kind in parts.KINDS:
        files = {path.stem for path in (folder / kind).glob("*.py") if not path.stem.startswith("_")}
        assert set(parts.names(kind)) == files
        assert parts.names(kind) == tuple(sorted(files))


def test_every_kind_is_a_folder():
    folder = Path(parts.__file__).parent
    assert all((folder / kind / "__init__.py").is_file() for kind in parts.KINDS)


def test_the_class_of_a_file_is_the_one_that_can_be_called():
    made = parts.part_class("penalties", "spectral")  # its state, a dataclass too, stands in the same file
    assert made.__name__ == "Spectral"
    assert parts.name_of(made()) == "spectral"


def test_entry_points_bring_in_other_peoples_parts(installed):
    assert "kick" in parts.names("attacks")
    assert parts.part_class("attacks", "kick").__module__ == "elsewhere.kicks"
    kick = parts.read("attacks", "kick@gentle:strength=2")
    assert (kick.strength, kick.path) == (2.0, Path("a.npz"))
    assert parts.spell(kick) == "kick:path=a.npz,strength=2.0,sides=left,mode=hard,attack=none"
    assert parts.read("attacks", parts.spell(kick)) == kick


def test_a_name_of_ours_stays_ours_and_it_is_said(installed):
    said = (
        "'pgd' is eigenfall's own part of kind attacks. "
        "For elsewhere.kicks:Kick (of the package elsewhere) write its path."
    )
    with pytest.warns(UserWarning, match="own part") as warned:
        assert parts.part_class("attacks", "pgd").__module__ == "eigenfall.attacks.pgd"
    assert [str(one.message) for one in warned] == [said]


def distribution(folder, name, *entry_points):
    """What pip leaves of an installed package."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(entry_points) + "\n")


def test_a_part_whose_name_is_ours_is_written_by_its_path(elsewhere):
    distribution(elsewhere, "elsewhere", "[eigenfall.attacks]", "pgd = elsewhere.kicks:Kick")
    kick = parts.read("attacks", "elsewhere.kicks:Kick:path=a")
    assert parts.name_of(kick) == "elsewhere.kicks:Kick"
    assert parts.read("attacks", parts.spell(kick)) == kick


def test_a_name_that_two_packages_use_is_refused_and_their_paths_are_not(elsewhere):
    distribution(elsewhere, "elsewhere", "[eigenfall.attacks]", "kick = elsewhere.kicks:Kick")
    distribution(elsewhere, "lonely", "[eigenfall.attacks]", "kick = lonelykicks:Kick [fast]")
    assert refusal(parts.read, "attacks", "kick:path=a") == (
        "Expected one part of kind attacks with the name 'kick', got elsewhere.kicks:Kick (of the package elsewhere) "
        "and lonelykicks:Kick (of the package lonely). Write the path of the one that you mean, or remove a package."
    )
    kick = parts.read("attacks", "lonelykicks:Kick:path=a")
    assert parts.name_of(kick) == "lonelykicks:Kick"


def test_two_entry_points_to_one_place_are_one(elsewhere):
    distribution(elsewhere, "elsewhere", "[eigenfall.attacks]", "kick = elsewhere.kicks:Kick")
    distribution(elsewhere, "editable", "[eigenfall.attacks]", "kick = elsewhere.kicks:Kick")
    assert parts.name_of(parts.read("attacks", "kick:path=a")) == "kick"


def test_the_first_package_of_a_name_hides_the_others(elsewhere, tmp_path_factory, monkeypatch):
    distribution(elsewhere, "elsewhere", "[eigenfall.attacks]", "kick = elsewhere.kicks:Kick")
    hidden = tmp_path_factory.mktemp("older")
    distribution(hidden, "elsewhere", "[eigenfall.attacks]", "kick = lonelykicks:Kick")
    monkeypatch.setattr(sys, "path", [*sys.path, str(hidden)])
    assert parts.part_class("attacks", "kick").__module__ == "elsewhere.kicks"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise ValueError('a bad day')", "ValueError: a bad day"),
        ("raise SystemExit('enough')", "SystemExit: enough"),
    ],
)
def test_an_entry_point_that_cannot_be_imported_names_its_package(elsewhere, text, reason):
    (elsewhere / "elsewhere" / "faulty.py").write_text(f"{text}\n")
    distribution(elsewhere, "elsewhere", "[eigenfall.fits]", "faulty = elsewhere.faulty")
    assert refusal(parts.read, "fits", "faulty") == (
        f"Expected 'faulty', elsewhere.faulty (of the package elsewhere), to be importable as package.module:Class, "
        f"got {reason}. Mend the package, or remove it."
    )


def test_what_is_broken_does_not_keep_others_from_being_listed(elsewhere, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    distribution(elsewhere, "elsewhere", "[eigenfall.fits]", "faulty = elsewhere.broken")
    assert main(["parts", "fits"]) == 0
    listed = capsys.readouterr().out
    assert "leastsquares" in listed
    assert "got ZeroDivisionError: division by zero. Mend the package, or remove it." in listed


def test_a_brought_part_is_used_at_the_prompt_by_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "median").mkdir()
    (tmp_path / "median" / "__init__.py").write_text('"""A package that brings a fit."""\n')
    shutil.copy(ROOT / "examples" / "theilsen.py", tmp_path / "median" / "theilsen.py")
    distribution(tmp_path, "median", "[eigenfall.fits]", "theilsen = median.theilsen")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["parts", "fits", "theilsen"]) == 0
    assert "fits/theilsen: Exponent as the median of all slopes" in capsys.readouterr().out
    fit = parts.read("fits", "theilsen:first_rank=1,last_rank=15")
    assert fit(power_law(alpha=1.2, ranks=20)).alpha == pytest.approx(1.2)
    assert parts.spell(fit) == "theilsen:first_rank=1,last_rank=15"
    sys.modules.pop("median.theilsen")


def test_a_file_with_no_part_or_several_is_refused(tmp_path, monkeypatch):
    two = "from dataclasses import dataclass\n" + "".join(
        f"@dataclass(frozen=True)\nclass {name}:\n    def __call__(self): return 0\n" for name in ("A", "B")
    )
    (tmp_path / "twoparts").mkdir()
    (tmp_path / "twoparts" / "__init__.py").write_text(two)
    (tmp_path / "noparts.py").write_text("from dataclasses import dataclass\n")
    metadata = tmp_path / "twoparts-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: twoparts\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[eigenfall.fits]\ntwo = twoparts\nnone = noparts\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal(parts.part_class, "fits", "two") == (
        "Expected one public frozen dataclass with __call__ in twoparts, got A, B. "
        "A file is a part; give others a file of their own."
    )
    assert refusal(parts.part_class, "fits", "none") == (
        "Expected one public frozen dataclass with __call__ in noparts, got none. A file is a part; give others a file "
        "of their own."
    )


@pytest.mark.parametrize("name", ["elsewhere.kicks:Kick", "lonelykicks:Kick"])
def test_a_dotted_part_is_read_and_spelt(elsewhere, name):
    kick = parts.read("attacks", f"{name}:path=x/y=z:1.npz,sides=left/right")
    assert kick.path == Path("x/y=z:1.npz")
    assert kick.sides == ("left", "right")
    assert parts.name_of(kick) == name
    assert parts.read("attacks", parts.spell(kick)) == kick
    assert parts.read("attacks", f"{name}@gentle") == parts.presets("attacks", name)["gentle"]
    assert parts.semantics("attacks", parts.read("attacks", f"{name}@gentle")) == "gentle"


def test_a_part_within_a_part_is_read_and_spelt(elsewhere):
    text = "elsewhere.kicks:Kick:path=a,attack=[pgd:steps=7,loss=dlr]"
    kick = parts.read("attacks", text)
    assert kick.attack == parts.read("attacks", "pgd:steps=7,loss=dlr")
    assert parts.read("attacks", parts.spell(kick)) == kick
    twice = parts.read("attacks", f"elsewhere.kicks:Kick:path=b,attack=[{text}]")
    assert twice.attack == kick
    assert parts.read("attacks", parts.spell(twice)) == twice


NO_PART = "Write @dataclass(frozen=True) above the class, its settings as fields, and what it does in __call__."


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("elsewhere.kicks:Plain", "the class Plain"),
        ("elsewhere.kicks:Melting", "the class Melting"),
        ("elsewhere.kicks:Silent", "the class Silent"),
        ("elsewhere.kicks:function", "a function"),
    ],
)
def test_what_is_no_part_is_refused(elsewhere, name, got):
    assert refusal(parts.read, "attacks", name) == (
        f"Expected a frozen dataclass with __call__ at {name!r}, got {got}. {NO_PART}"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.kicks:Kick", "ModuleNotFoundError: No module named 'nowhere'"),
        ("elsewhere.kicks:Kik", "AttributeError: module 'elsewhere.kicks' has no attribute 'Kik'"),
        ("elsewhere.broken:Kick", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_imported_is_refused(elsewhere, name, reason):
    assert refusal(parts.read, "attacks", name) == (
        f"Expected {name!r} to be importable as package.module:Class, got {reason}. "
        "Install the package, or mend the name."
    )


# -------------------------------------------------------------------------------- reading


def test_numbers_take_their_fields_type():
    five = parts.read("penalties", "jacobian:strength=5")
    assert five == parts.read("penalties", "jacobian:strength=5.0") == parts.read("penalties", "jacobian:strength=5e0")
    assert type(five.strength) is float
    made = parts.part_class("penalties", "jacobian")
    assert parts.spell(made(strength=5)) == parts.spell(five)


def test_a_preset_is_a_start_that_settings_change():
    preset = parts.presets("penalties", "spectral")["nassar2020"]
    assert parts.read("penalties", "spectral@nassar2020") == preset
    changed = parts.read("penalties", "spectral@nassar2020:strength=5,alpha=1/1.2,layers=hidden1/hidden2")
    assert (changed.strength, changed.alpha, changed.estimator) == (5.0, (1.0, 1.2), preset.estimator)


def test_semantics_are_a_preset_the_default_or_custom():
    assert parts.semantics("penalties", parts.read("penalties", "spectral")) == "default"
    assert parts.semantics("penalties", parts.read("penalties", "spectral@nassar2020")) == "nassar2020"
    assert parts.semantics("penalties", parts.read("penalties", "spectral@nassar2020:strength=77")) == "custom"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("attack", "pgd", "Expected a known kind of part, got 'attack'. Did you mean 'attacks'?"),
        ("attacks", "pdg", "Expected a known part of kind attacks, got 'pdg'. Did you mean 'pgd'?"),
        ("attacks", "pgd:stesp=4", "Expected a known setting of pgd, got 'stesp'. Did you mean 'steps'?"),
        (
            "penalties",
            "spectral@nasar2020",
            "Expected a known preset of spectral, got 'nasar2020'. Did you mean 'nassar2020'?",
        ),
        ("attacks", "pgd:loss=drl", "Expected a known value of loss, got 'drl'. Did you mean 'dlr'?"),
        (
            "attacks",
            "pgd:steps",
            "Expected setting=value in 'pgd:steps', got 'steps'. "
            "Join the two by an equals sign, and settings by a comma.",
        ),
        (
            "attacks",
            "pgd:steps=4,,loss=dlr",
            "Expected setting=value in 'pgd:steps=4,,loss=dlr', got ''. "
            "Join the two by an equals sign, and settings by a comma.",
        ),
        (
            "attacks",
            "pgd:steps=4,steps=5",
            "Expected steps once in 'pgd:steps=4,steps=5', got it again. Leave one out.",
        ),
        (
            "attacks",
            "pgd:loss=[dlr",
            "Expected every [ with its ], got 'loss=[dlr'. Close or open the bracket.",
        ),
        (
            "attacks",
            "pgd:steps=many",
            "Expected a whole number for steps, got 'many'. `eigenfall parts` tells what it means.",
        ),
        ("recordings", "file", "Expected file with path, got 'file'. Write file:path=…"),
    ],
)
def test_what_is_misspelt_is_refused_with_the_nearest_name(kind, text, message):
    assert refusal(parts.read, kind, text) == message


# ------------------------------------------------------------------------------- spelling


@dataclass(frozen=True)
class Here:
    """A part of a test.

    Attributes:
        name: what it is called: a text.
        values: numbers,
            joined by /.
    """

    cite: ClassVar[str] = "stringer2019"
    name: str = "a,b"
    values: float | tuple[float, ...] = (1, 2)
    share: float = math.inf
    mode: Literal["1/n", "none"] = "none"
    made: int = field(default=3, init=False)

    def __call__(self, *given):
        return self.values


def test_every_field_that_can_be_given_is_spelt():
    assert parts.spell(Here()) == f"{__name__}:Here:name=[a,b],values=1.0/2.0,share=inf,mode=none"


def test_what_stands_in_this_file_can_be_read_back():
    here = Here(name="[x]/y:z=1", values=2)
    assert parts.read("attacks", parts.spell(here)) == here


def test_attributes_tell_default_and_meaning(elsewhere):
    assert parts.attributes("attacks", "elsewhere.kicks:Kick") == [
        ("path", "required", "where the kicks lie: a file, one kick a line."),
        ("strength", "1.0", "how hard."),
        ("sides", "left", "which."),
        ("mode", "hard", ""),
        ("attack", "none", ""),
    ]


def test_a_part_without_settings_is_its_name():
    @dataclass(frozen=True)
    class Bare:
        def __call__(self) -> Any:
            return None

    assert parts.spell(Bare()).endswith(":test_a_part_without_settings_is_its_name.<locals>.Bare")


def test_a_setting_that_came_later_is_written_only_where_it_says_something():
    @dataclass(frozen=True)
    class Grown:
        strength: float = 1.0
        subset: int = later(0)

        def __call__(self) -> None: ...

    assert parts.spell(Grown()).endswith("Grown:strength=1.0")
    assert parts.spell(Grown(subset=3)).endswith("Grown:strength=1.0,subset=3")
