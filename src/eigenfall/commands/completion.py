"""What a shell completes: commands, their flags, and what a flag can be, as one function of bash that zsh takes too."""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from eigenfall import parts
from eigenfall.check import one_of

SHELLS = ("bash", "zsh")
KIND_OF = {
    "data": "datasets",
    "architecture": "architectures",
    "penalty": "penalties",
    "rule": "rules",
    "head": "heads",
    "attack": "attacks",
    "spectrum": "spectra",
    "fit": "fits",
    "dimension": "dimensions",
    "smoothness": "smoothness",
    "corruption": "corruptions",
}
"""Flags that take a part, and of which kind."""


def script(shell: str, commands: Sequence[str]) -> str:
    """What a shell reads once to complete `eigenfall`.

    Args:
        shell: bash or zsh.
        commands: names of the commands.

    Raises:
        ValueError: for another shell.
    """
    one_of(shell, SHELLS, "shell")
    flags, values = [], []
    for command in commands:
        words = words_of(command)
        told = " ".join(sorted(word for word in words if word.startswith("--")))
        flags.append(f'        {command}) flags="{told} --help" ;;')
        firsts = [*words.get("", ()), *(parts.KINDS if command == "parts" else ())]
        if firsts:
            values.append(f'        "{command} {command}") values="{" ".join(firsts)}" ;;')
        for flag in filter(None, words):
            if words[flag]:
                values.append(f'        "{command} {flag}") values="{" ".join(words[flag])}" ;;')
    begun = "#compdef eigenfall\nautoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    lines = "\n".join
    return f"""\
{begun}_eigenfall() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="${{COMP_WORDS[1]}}"
    local flags="" values=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{" ".join(commands)} --help --version --print-completion" -- "$word"))
        return
    fi
    case "$command" in
{lines(flags)}
        --print-completion) values="{" ".join(SHELLS)}" ;;
    esac
    case "$command $before" in
{lines(values)}
    esac
    case "$word" in
        -*) values="$flags" ;;
    esac
    COMPREPLY=($(compgen -W "$values" -- "$word"))
}}
complete -o default -F _eigenfall eigenfall
"""


def words_of(command: str) -> dict[str, tuple[str, ...]]:
    """Each flag of a command, with what it can be if that is known; under "", what can stand without a flag."""
    function = getattr(importlib.import_module(f"eigenfall.commands.{command}"), command)
    hints = typing.get_type_hints(function)
    found: dict[str, tuple[str, ...]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if dataclasses.is_dataclass(hints[parameter.name]):
            found |= _flags(typing.get_type_hints(hints[parameter.name]))
        elif "Positional" in str(typing.get_type_hints(function, include_extras=True)[parameter.name]):
            found[""] = found.get("", ()) or tuple(_literals(hints[parameter.name]))
        else:
            found |= _flags({parameter.name: hints[parameter.name]})
    return found


def _flags(hints: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Flags of settings with these types."""
    found: dict[str, tuple[str, ...]] = {}
    for name, hint in hints.items():
        flag = name.replace("_", "-")
        if dataclasses.is_dataclass(hint):  # settings that several commands share
            found |= _flags(typing.get_type_hints(hint))
        elif hint is bool:
            found |= {f"--{flag}": (), f"--no-{flag}": ()}
        else:
            found[f"--{flag}"] = parts.names(KIND_OF[name]) if name in KIND_OF else tuple(_literals(hint))
    return found


def _literals(hint: Any) -> Iterator[str]:
    """Every word that a type names."""
    if typing.get_origin(hint) is Literal:
        yield from map(str, typing.get_args(hint))
    else:
        for inner in typing.get_args(hint):
            yield from _literals(inner)
