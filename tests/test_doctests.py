"""Every example in a docstring of the package runs and gives what it shows."""

import doctest
import importlib
import pkgutil

import pytest
import torch
from exact import power_law, seeded

import eigenfall
from eigenfall.types import Responses

MODULES = sorted(found.name for found in pkgutil.walk_packages(eigenfall.__path__, "eigenfall."))
OFFERED = {"power_law": power_law, "seeded": seeded, "torch": torch, "Responses": Responses}


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_of_a_module_give_what_they_show(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, extraglobs=OFFERED, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_some_module_has_examples():
    assert any(doctest.DocTestFinder().find(importlib.import_module("eigenfall.spectra.pca"))[0:])
