"""Values that are found at the first reading: once, and not before."""

from eigenfall.deferred import Deferred, renamed


def test_nothing_is_found_before_it_is_read_and_nothing_twice():
    found = []

    def made(name):
        return lambda: found.append(name) or len(found)

    values = Deferred({"a": made("a"), "b": made("b"), "given": 7})
    assert list(values) == ["a", "b", "given"]
    assert len(values) == 3
    assert "a" in values
    assert "c" not in values
    assert found == []
    assert values["b"] == 1
    assert values["b"] == 1
    assert found == ["b"]
    assert dict(values) == {"a": 2, "b": 1, "given": 7}
    assert repr(values) == "{'a': 2, 'b': 1, 'given': 7}"


def test_under_other_names_it_is_found_as_late():
    found = []
    values = Deferred({"a": lambda: found.append("a") or 3})
    others = Deferred(renamed(values, "x/"))
    assert list(others) == ["x/a"]
    assert found == []
    assert others["x/a"] == 3
    assert found == ["a"]
    assert values["a"] == 3
    assert found == ["a"]
