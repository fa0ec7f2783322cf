"""A shell completes commands, flags, and what a flag can be; the package runs as a module."""

import re
import subprocess
import sys

import pytest

from eigenfall import parts
from eigenfall.cli import COMMANDS, main
from eigenfall.commands.completion import script, words_of

SCRIPT = script("bash", tuple(COMMANDS))


def completed(*words):
    """What bash offers for the last of these words."""
    line = " ".join(f'"{word}"' for word in words)
    ask = f'{SCRIPT}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _eigenfall; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_are_completed():
    assert completed("eigenfall", "re") == ["report", "reproduce"]
    assert set(COMMANDS) <= set(completed("eigenfall", ""))


def test_flags_are_completed():
    assert completed("eigenfall", "train", "--learn") == ["--learning-rate"]
    assert completed("eigenfall", "train", "runs", "--smoothness-") == ["--smoothness-inputs"]
    assert completed("eigenfall", "verify", "--wh") == ["--whole"]


def test_what_a_flag_can_be_is_completed():
    assert completed("eigenfall", "train", "--optimiser", "") == ["adam", "sgd"]
    assert completed("eigenfall", "learn", "--rule", "kr") == ["krotov"]
    assert completed("eigenfall", "train", "--penalty", "") == list(parts.names("penalties"))
    assert completed("eigenfall", "data", "f") == ["fetch"]
    assert completed("eigenfall", "parts", "pen") == ["penalties"]
    assert completed("eigenfall", "--print-completion", "") == ["bash", "zsh"]


def test_where_nothing_is_known_files_are_left_to_the_shell():
    assert completed("eigenfall", "report", "ru") == []
    assert SCRIPT.endswith("complete -o default -F _eigenfall eigenfall\n")


@pytest.mark.parametrize("command", ["train", "measure", "attack", "export", "data"])
def test_every_flag_that_help_names_is_completed(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = re.findall(r"^[│ ] (--.*)$", capsys.readouterr().out, re.MULTILINE)
    flags = re.findall(r"--[a-z][a-z-]*", " ".join(line.partition("  ")[0] for line in lines))
    assert set(flags) == {word for word in words_of(command) if word}


def test_zsh_takes_the_same_function():
    assert script("zsh", tuple(COMMANDS)) == (
        f"#compdef eigenfall\nautoload -U +X bashcompinit && bashcompinit\n{SCRIPT}"
    )


def test_the_prompt_prints_it(capsys):
    assert main(["--print-completion", "bash"]) == 0
    assert capsys.readouterr().out == SCRIPT


@pytest.mark.parametrize(("given", "got"), [([], "none"), (["fish"], "fish")])
def test_another_shell_is_refused(capsys, given, got):
    assert main(["--print-completion", *given]) == 2
    assert capsys.readouterr().err == f"eigenfall: Expected a shell, bash or zsh, got {got!r}. Name yours.\n"


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "eigenfall", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("eigenfall ")
    done = subprocess.run([sys.executable, "-m", "eigenfall", "trian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "eigenfall: Expected a known command, got 'trian'. Did you mean 'train'?\n"
