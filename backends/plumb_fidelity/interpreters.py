"""What interpreters may differ in: chance, the clock, and what has no order."""

import re
from collections.abc import Sequence

from plumb_fidelity import chance
from plumb_fidelity.kinds import (
    ADDRESS,
    DRAWN,
    EPOCH,
    HASH,
    MADE_NOW,
    MEASURE,
    MEASURED,
    NOW,
    PID,
    SPENT,
    TIME_OF_DAY,
    UUID,
)
from plumb_fidelity.licences import Field, Grant, Licence

UNKNOWN = Licence(
    kinds=(MADE_NOW, MEASURED, ADDRESS),
    fields=(Field(re.compile(r"(?i)\bpid[ =:]+(\d+)\b"), PID),),
    floats=True,
)
_RANDOM = Licence(kinds=(DRAWN, UUID, HASH, chance.HEX_PART))
_SALTED = re.compile(r"\bhash\((?!\s*[\d.-])|\bid\(")
_UNORDERED = re.compile(
    r"\bset\(|\bfrozenset\(|\{['\"][^{}:]{0,200}\}|\blistdir\(|\bscandir\(|\biterdir\(|\bglob\("
    r"|\b(?:keys|values) *\(?[%$]"
)
_SORTED = re.compile(r"\bsort(?:ed)?\b")
_PER_LOOP = Field(re.compile(r"([\d.]+) [nmu]?sec per loop"), MEASURE)
_CHANCE = re.compile(
    r"\brand(?:om|int|rpartition)?\b|\brand\(|\bsecrets\b|\buuid|Math\.random|urandom"
)
TIMED = [Grant(Licence(kinds=(SPENT,), floats=True))]
"""Of programs that say how long they took."""


def interpreter_grants(words: Sequence[str]) -> list[Grant]:
    """Chance, time and order, as far as the program in the arguments asks for them."""
    program = " ".join(words[1:])
    found = [Grant(UNKNOWN)]
    if _CHANCE.search(program) and not chance.is_seeded(program):
        dice = tuple(chance.of_program(program))
        fields = tuple(map(chance.only_number, dice))
        found.append(Grant(Licence(kinds=dice, fields=fields) if dice else _RANDOM))
    if _SALTED.search(program):
        found.append(Grant(Licence(kinds=(chance.SALTED,))))
    if _UNORDERED.search(program) and not _SORTED.search(program):
        found.append(Grant(Licence(shuffled=True)))
    if re.search(r"time\.time|time\(\)|Date\.now|getpid|\btime\b", program):
        found.append(Grant(Licence(kinds=(NOW, TIME_OF_DAY, EPOCH, SPENT))))
    if "pid" in program:
        found.append(Grant(Licence(kinds=(PID,), fields=(chance.only_number(PID),))))
    if "timeit" in program:
        found.append(Grant(Licence(fields=(_PER_LOOP,))))
    if re.search(r"pytest|unittest", program):
        found += TIMED
    return found
