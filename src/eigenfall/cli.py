"""The command line: what there is, and one sentence for whatever goes wrong.

Each command is a function of plain types in `eigenfall.commands`, imported when it runs; `--help` imports no torch.
"""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

COMMANDS = {
    "demo": "two minutes on the embedded digits, then a page to look at",
    "train": "train networks under penalties, measure them, keep records",
    "learn": "learn layers by a local rule, fit a head, measure them, keep records",
    "sweep": "a grid or a list of such runs, here or on a cluster",
    "measure": "spectrum, smoothness and robustness of your model; spectrum of your recording",
    "attack": "accuracy of a model under the attacks that you name",
    "compare": "paired tests between finished runs",
    "verify": "do the numbers of finished runs hold? measured again from their weights",
    "export": "numbers of finished runs as CSV or Parquet; records as an archive",
    "report": "one self-contained HTML page from finished runs",
    "atlas": "every way of making a representation side by side, and what goes with robustness",
    "reproduce": "a paper's arms: ours, the band, verdict",
    "parts": "what there is to choose from, and each part's settings",
    "data": "data sets: where they are read from, fetch, verify",
}

EXAMPLES = """\
examples:
  eigenfall demo
  eigenfall measure my.module:make_model --data cifar10 --layers features.3 fc1
  eigenfall measure responses.npy --fit leastsquares:first_rank=11,last_rank=500
  eigenfall train --data mnist --architecture mlp:widths=200/200 --penalty spectral:strength=5 --seeds 3
  eigenfall learn --rule krotov:p=3,k=2 --data digits --units 100 --seeds 3
  eigenfall sweep grid.toml --workers 8
  eigenfall attack runs/plain-s0-1a2b3c4d5e6f --attack pgd:steps=40,loss=margin --epsilons 0.05 0.1
  eigenfall report runs --open
  eigenfall atlas --scale quick
  eigenfall parts penalties spectral
  eigenfall --print-completion bash

A part is written name, name@preset, or name:setting=value,setting=value; a tuple's values are joined by /.
eigenfall COMMAND --help says more."""


def overview() -> str:
    """What `eigenfall --help` prints."""
    width = max(map(len, COMMANDS)) + 2
    listed = "\n".join(f"  {name:<{width}}{says}" for name, says in COMMANDS.items())
    return (
        "usage: eigenfall COMMAND ...\n\n"
        "How fast do the eigenvalues of a neural code fall, how smooth is the code, and how robust does that make\n"
        "it?\n\n"
        f"commands:\n{listed}\n\n{EXAMPLES}"
    )


def _sentence(reason: OSError) -> str:
    """What went wrong with a file, and what to do."""
    where = f" at {reason.filename}" if reason.filename else ""
    told = {
        errno.ENOSPC: (
            f"Expected room on the disk{where}, got a full one.",
            "Free some space; what is finished is kept.",
        ),
        errno.EACCES: (f"Expected permission to use what lies{where or ' there'}, got none.", "Choose another folder."),
        errno.EROFS: (f"Expected a folder that can be written{where}, got a read-only one.", "Choose another folder."),
        errno.ENOENT: (f"Expected a file or folder{where}, got none.", "Look at the path."),
    }
    return " ".join(
        told.get(reason.errno or 0, (f"Expected to read or write{where}, got: {reason.strerror or reason}.", ""))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well, 2 for a refusal, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"eigenfall {version('eigenfall')}")
        return 0
    if given[0] == "--print-completion":
        return _completed(given[1:])
    return _run(given[0], given[1:])


def _completed(given: Sequence[str]) -> int:
    """Print what a shell reads to complete commands and flags."""
    from eigenfall.commands.completion import SHELLS, script

    try:
        print(script(given[0] if given else "", tuple(COMMANDS)), end="")
    except ValueError:
        return _refused(f"Expected a shell, {' or '.join(SHELLS)}, got {' '.join(given) or 'none'!r}. Name yours.")
    return 0


def _run(command: str, given: list[str]) -> int:
    from eigenfall.check import one_of

    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # package.module:name may lie in the user's folder
    try:
        one_of(command, COMMANDS, "command")
        import tyro

        function = getattr(importlib.import_module(f"eigenfall.commands.{command}"), command)
        tyro.cli(function, args=given, prog=f"eigenfall {command}", config=(tyro.conf.HelptextFromCommentsOff,))
    except ValueError as refusal:
        return _refused(str(refusal))
    except OSError as refusal:
        return _refused(_sentence(refusal))
    except KeyboardInterrupt:
        print("\neigenfall: stopped. What is finished is kept; the same command goes on from it.", file=sys.stderr)
        return 130
    return 0


def _refused(sentence: str) -> int:
    print(f"eigenfall: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
