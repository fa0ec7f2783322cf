"""Every defect of the published code is held off by tests that are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "papers" / "holzhausen2024-defects.md"
ROWS = [
    line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)
]


@cache
def named_in(path):
    """Names of the test functions at the top of a file, and whether any of them is skipped whatever happens."""
    found = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found[node.name] = any("mark.skip" in ast.unparse(each) for each in node.decorator_list)
    return found


def test_there_are_fourteen_each_with_a_sentence():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 15))
    assert all(len(defect.strip()) > 20 and defect.strip().endswith(".") for _, defect, _ in ROWS)


@pytest.mark.parametrize(("number", "held"), [(row[0].strip(), row[2]) for row in ROWS])
def test_every_test_that_is_named_is_there_and_runs(number, held):
    named = re.findall(r"`([^`]+)::([^`]+)`", held)
    assert len(named) == held.count("`") // 2 >= 2
    assert len(set(named)) == len(named)
    for path, name in named:
        assert named_in(path).get(name) is False, f"{path}::{name}"
