"""What an action licenses its output to differ in: layout, form of numbers, volatile values.

The look of a text never excuses a difference; the command that printed it does. Contents of files,
of columns and of variables are exact. What is not known of is exact, too: a simulator is told the
scripts and files of its world, so what they print can be known.
"""

import dataclasses
import re
from collections.abc import Sequence

from plumb_fidelity.kinds import DRAWN, PID, STAMP, WORD, Kind
from plumb_fidelity.shapes import Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A volatile value by where it stands.

    Attributes:
        pattern: Where to look; each of its groups is one value.
        kind: What stands there.
    """

    pattern: re.Pattern[str]
    kind: Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Licence:
    """What may differ in a line or in a cell.

    Attributes:
        kinds: Kinds of volatile values.
        fields: Volatile values by where they stand.
        shapes: Forms of whole lines with volatile fields.
        columns: Whether runs of space are the program's own columns.
        margin: The beginning of a line whose runs of space are the program's own.
        numbers: Whether numbers are computed, and compare by value: `10.50` is `10.5`.
        floats: Whether long floats are computed, and compare to 1e-9 relative.
        separator: What stands between the parts of a value whose order is open; empty for none.
        written: Words that the action itself has: they are not volatile.
        shuffled: Whether the parts of a line may stand in any order, as those of a set.
    """

    kinds: tuple[Kind, ...] = ()
    fields: tuple[Field, ...] = ()
    shapes: tuple[Shape, ...] = ()
    columns: bool = False
    margin: re.Pattern[str] | None = None
    numbers: bool = False
    floats: bool = False
    separator: str = ""
    written: frozenset[str] = frozenset()
    shuffled: bool = False

    def is_sandboxs(self, line: str) -> bool:
        """Whether a line shows the sandbox's own first process, which no grounding tells of."""
        for shape in self.shapes:
            if "pid" in shape.pattern.groupindex and (found := shape.pattern.fullmatch(line)):
                return found["pid"] == "1"
        return False

    def __or__(self, other: "Licence") -> "Licence":
        """What either of two licences allows."""
        return Licence(
            (*self.kinds, *(kind for kind in other.kinds if kind not in self.kinds)),
            (*self.fields, *(field for field in other.fields if field not in self.fields)),
            (*self.shapes, *(shape for shape in other.shapes if shape not in self.shapes)),
            self.columns or other.columns,
            self.margin or other.margin,
            self.numbers or other.numbers,
            self.floats or other.floats,
            self.separator or other.separator,
            self.written | other.written,
            self.shuffled or other.shuffled,
        )


EXACT = Licence()
"""Nothing may differ."""

LITERAL = Licence(
    kinds=(STAMP,),
    fields=(
        Field(re.compile(r"/tmp/tmp\.(\w{10})\b"), WORD),  # noqa: S108 - only looked for
        Field(re.compile(r"(?:pipe|socket):\[(\d+)\]"), DRAWN),
        Field(
            re.compile(r": line \d+: +(\d+) (?:Killed|Terminated|Segmentation|Aborted|Hangup)"),
            PID._replace(is_single=False),
        ),
    ),
)
"""Content: exact, but for what only the clock or the kernel can have put into it.

With one run that is a time of day to the second about now, a name that `mktemp` made and a pipe's
number; always the process in what bash says of one that was killed.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A licence, and for which lines: those that look like the program's own.

    Attributes:
        licence: What may differ.
        lines: What its lines look like from their beginning; None for every line.
    """

    licence: Licence
    lines: re.Pattern[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Licences:
    """The licences of a section: by line for text, by column for rows.

    Attributes:
        grants: For text.
        cells: For rows, one for each column; None for text.
        base: What every line of a text may differ in.
    """

    grants: tuple[Grant, ...] = ()
    cells: tuple[Licence, ...] | None = None
    base: Licence = EXACT
    _joined: dict[tuple[int, ...], Licence] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )

    def at(self, line: str) -> Licence:
        """The licence of a line of text."""
        places = tuple(
            at
            for at, grant in enumerate(self.grants)
            if grant.lines is None or grant.lines.match(line)
        )
        if places not in self._joined:
            found = self.base
            for at in places:
                found = found | self.grants[at].licence
            self._joined[places] = found
        return self._joined[places]

    def of_cell(self, column: int) -> Licence:
        """The licence of a column's cells."""
        return self.cells[column] if self.cells and column < len(self.cells) else EXACT


NOTHING = Licences()


def of_columns(cells: Sequence[Licence]) -> Licences:
    """The licences of a result's rows."""
    return Licences(cells=tuple(cells))
