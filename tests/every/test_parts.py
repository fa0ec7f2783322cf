"""Every part of every kind: frozen, documented, cited, and written in the grammar. A new file is under test at once."""

import dataclasses
import importlib
import inspect
import re
import typing

import pytest

from eigenfall import parts
from eigenfall.defaults import is_left_out
from eigenfall.references import citations, entries

EVERY = [(kind, name) for kind in parts.KINDS for name in parts.names(kind)]


def examples(kind, name):
    """The default, if there is one, and every preset."""
    made = parts.part_class(kind, name)
    required = [field for field in dataclasses.fields(made) if parts._default(field) is dataclasses.MISSING]
    filled = {field.name: filling(typing.get_type_hints(made)[field.name]) for field in required}
    return [made(**filled), *parts.presets(kind, name).values()]


def filling(hint):
    """A value for a setting that has no default."""
    return {int: 3, float: 0.5}.get(hint, hint("package.module:name") if isinstance(hint, type) else "a")


@pytest.fixture(params=EVERY, ids="/".join)
def part(request):
    return request.param


def test_a_part_is_a_frozen_dataclass(part):
    made = parts.part_class(*part)
    assert made.__dataclass_params__.frozen
    for example in examples(*part):
        for field in dataclasses.fields(made):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(example, field.name, None)
        assert hash(example) == hash(dataclasses.replace(example))


def test_a_part_is_called_as_its_kind_is(part):
    assert "__call__" in vars(parts.part_class(*part))


def test_settings_are_plain(part):
    made = parts.part_class(*part)
    for hint in typing.get_type_hints(made).values():
        assert "dict" not in str(hint)
        assert "list" not in str(hint)


def test_reading_gives_back_what_was_spelt(part):
    kind, name = part
    for example in examples(kind, name):
        text = parts.spell(example)
        again = parts.read(kind, text)
        assert again == example
        assert type(again) is type(example)
        assert parts.spell(again) == text
        for field in dataclasses.fields(example):
            assert not field.init or is_left_out(field, example) or f"{field.name}=" in text
        assert text.partition(":")[0] == name


def test_presets_are_instances_and_read_by_name(part):
    kind, name = part
    module = importlib.import_module(parts.part_class(kind, name).__module__)
    kept = getattr(module, "PRESETS", {})
    assert parts.presets(kind, name) == kept  # none of another class
    for preset, instance in kept.items():
        assert parts.read(kind, f"{name}@{preset}") == instance
        assert parts.semantics(kind, instance) != "custom"


def test_every_field_is_told(part):
    told = {setting: words for setting, _, words in parts.attributes(*part)}
    assert [setting for setting, words in told.items() if not words] == []
    made = parts.part_class(*part)
    section = inspect.cleandoc(made.__doc__).partition("Attributes:\n")[2]
    named = re.findall(r"^    (\w+):", section, re.M)
    assert named == [field.name for field in dataclasses.fields(made)]  # in order, and nothing that is not there


def test_a_module_that_has_a_source_names_it(part):
    made = parts.part_class(*part)
    text = importlib.import_module(made.__module__).__doc__
    named = re.search(r"^Sources?\b.*:", text, re.M) is not None
    assert named or not getattr(made, "cite", ""), text
    assert text.partition("\n")[0].endswith(".")


def test_what_a_part_cites_has_an_entry(part):
    for example in examples(*part):
        assert set(citations([example])) <= entries().keys()
