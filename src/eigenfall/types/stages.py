"""How far a piece of work is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Stage:
    """What long work yields: how far it is, and what it has finished.

    Attributes:
        what: what is being done, in a few words.
        done: pieces that are finished.
        total: pieces there are; 0 if nobody knows.
        made: finished pieces by name. Whoever keeps them can hand them back as `kept`, and the same work goes on from
            them, bit-equal. A tensor here may change after the next stage: write or copy it before.
        said: what a reader must know now, such as how a file was read; it stays on the screen.
    """

    what: str
    done: int
    total: int
    made: Mapping[str, Tensor] = field(default_factory=dict)
    said: str = ""
