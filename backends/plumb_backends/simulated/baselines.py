"""Baselines: players that know nothing, so that a score means something.

`always_empty` prints nothing and says that all went well. `always_error` always gives the commonest
error: a path that does not exist, a table that does not exist. What a simulator scores above them
is its own. (`sqlite` is another one, in a file of its own.)
"""

import re

from plumb_backends.environment import Action, ProbeResult, Provenance
from plumb_backends.kind import Reply
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.kinds.shell import HOME
from plumb_backends.simulated.options import BASELINE_PREFIX
from plumb_backends.simulated.stage import Acted

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s++`?(?:\w++`?\.`?)?(\w++)", re.IGNORECASE)


class Baseline:
    """Plays without looking at the world; an `Actor`.

    Args:
        name: `always_empty` or `always_error`.
        kind: The kind's name.
        options: The kind's options.
    """

    def __init__(self, name: str, kind: str, options: object) -> None:
        self._name = name
        self._kind = kind
        self._options = options

    async def act(self, action: Action) -> Acted:
        """Replies; see `Actor.act`."""
        text = action.text.decode(errors="replace").strip()
        provenance = Provenance(backend="simulated", model=BASELINE_PREFIX + self._name)
        if self._name == "always_empty" or not text:
            return Acted(_success(self._kind), provenance)
        if isinstance(self._options, MysqlOptions):
            return Acted(_no_such_table(text, self._options.database), provenance)
        return Acted(_no_such_file(text), provenance)

    async def answer(self, suite: str) -> ProbeResult:
        """Nothing is there; see `Actor.answer`."""
        return ProbeResult(suite, {})

    async def restart(self) -> None:
        """Has no past."""

    async def close(self) -> None:
        """Has nothing to close."""


def _success(kind: str) -> Reply:
    return Reply("", {"errno": 0} if kind == "mysql" else {"exit_code": 0, "cwd": HOME})


def _no_such_file(action: str) -> Reply:
    words = action.split("\n")[0].split()
    return Reply(
        f"{words[0]}: {words[-1]}: No such file or directory\n", {"exit_code": 1, "cwd": HOME}
    )


def _no_such_table(action: str, database: str) -> Reply:
    found = _TABLE.search(action)
    table = found[1] if found else "t"
    return Reply(f"ERROR 1146 (42S02): Table '{database}.{table}' doesn't exist\n", {"errno": 1146})
