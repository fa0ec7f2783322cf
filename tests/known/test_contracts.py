"""What a part of each kind must be able to do, held against ours and against parts that cannot."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from eigenfall import parts
from eigenfall.contracts import CALLS, need_contract

READ = "docs/adding-a-part.md tells what each kind is called with."


@dataclass(frozen=True)
class Nothing:
    """Called with nothing."""

    def __call__(self): ...


@dataclass(frozen=True)
class Anything:
    """Takes whatever it is given."""

    letter: ClassVar[str] = "z"
    title: ClassVar[str] = "anything"

    def __call__(self, *given): ...

    def start(self, *given): ...

    @staticmethod
    def refreshed(state, reference, generator): ...

    @classmethod
    def layer(cls, state): ...

    def loss(self, outputs, targets, reduction="mean"): ...

    predictions = staticmethod(len)


def refusal(kind, made):
    with pytest.raises(ValueError) as refused:
        need_contract(kind, made, "here:Part")
    return str(refused.value)


def test_every_kind_has_a_contract_and_our_parts_keep_it():
    assert tuple(CALLS) == parts.KINDS
    for kind in parts.KINDS:
        for name in parts.names(kind):
            need_contract(kind, parts.part_class(kind, name), name)


@pytest.mark.parametrize("kind", [kind for kind in parts.KINDS if kind != "datasets"])
def test_a_call_that_takes_too_little_is_refused(kind):
    wanted = ", ".join(("self", *CALLS[kind]["__call__"]))
    sentence = refusal(kind, Nothing)
    if "start" in CALLS[kind]:
        assert sentence == (
            f"Expected 'here:Part' to have start({', '.join(('self', *CALLS[kind]['start']))}), as every part of kind "
            f"{kind} has, got none. {READ}"
        )
    else:
        assert sentence == (
            f"Expected 'here:Part' to have __call__({wanted}), as every part of kind {kind} has, got __call__(self). "
            f"{READ}"
        )


@pytest.mark.parametrize("kind", parts.KINDS)
def test_what_takes_enough_is_taken_however_it_is_written(kind):
    need_contract(kind, Anything, "here:Part")


def test_an_argument_too_many_is_refused():
    class Eager(Anything):
        def __call__(self, spectrum, window): ...

    assert refusal("fits", Eager) == (
        "Expected 'here:Part' to have __call__(self, spectrum), as every part of kind fits has, "
        f"got __call__(self, spectrum, window). {READ}"
    )


def test_what_is_no_method_is_refused():
    class Flat(Anything):
        layer = 3

    assert refusal("rules", Flat) == (
        "Expected 'here:Part' to have layer(self, state), as every part of kind rules has, "
        f"got layer, which cannot be called. {READ}"
    )


def test_a_check_has_a_letter_and_a_title():
    class Nameless:
        def __call__(self, evidence): ...

    assert refusal("checks", Nameless) == (
        "Expected 'here:Part' to have a letter and a title, as every part of kind checks has, got no letter and no "
        "title. Write each as a ClassVar[str] above the settings."
    )


def test_the_registry_asks():
    with pytest.raises(ValueError) as refused:
        parts.part_class("penalties", f"{__name__}:Nothing")
    assert str(refused.value).startswith(f"Expected '{__name__}:Nothing' to have start(self, reference, generator), ")
