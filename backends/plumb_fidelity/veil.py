"""Takes off what no simulator can know, so that all else is compared.

What a kernel is called, how much memory there is, which version answers: that is the host's, and
no grounding tells it, unless it was told. It is found by the action and the real answer alone, line
by line and column by column, and is taken off both sides alike; so whether a step is scored never
depends on what a simulator answered.
"""

import dataclasses
from collections.abc import Sequence

from plumb_fidelity import host_shell, host_sql
from plumb_fidelity.action import sql_statements
from plumb_fidelity.normalise import CELL, Section

HIDDEN = "(the host's)"
"""What stands in the place of what was taken off."""

_OF_RESULT = 3  # sections that each result of a statement has


class Veil:
    """What of an action's output cannot be known.

    Args:
        action: What was typed.
        real: The sections of the first real run.
        is_table: Whether they are what the `mysql` client prints.
        told: What the simulator was told.
    """

    def __init__(
        self, action: str, real: Sequence[Section], *, is_table: bool, told: str = ""
    ) -> None:
        self._told = told
        self._shares: list[host_shell.Share] = []
        self._owns: list[host_sql.Own | None] = []
        if is_table:
            given = host_sql.given_in(action)
            self._owns = [host_sql.own_of(one, given) for one in sql_statements(action)]
            self._owns = [self._untold(at, own, real) for at, own in enumerate(self._owns)]
        elif len(real) == 1 and real[0].name == "text":
            self._shares = self._unknown(host_shell.shares(action), real[0].lines)
        hidden = self.over(real)
        self.is_needed = hidden != list(real)
        is_all = self.is_needed and _is_nothing_left(hidden)
        has_chance = any(share.is_chance for share in self._shares)
        self.leaves_chance_aside = has_chance and not is_all
        self.hides_all = is_all and not has_chance

    def over(self, sections: Sequence[Section]) -> list[Section]:
        """Sections of either side, without what cannot be known."""
        if self._shares and len(sections) == 1:
            return [self._over_text(sections[0])]
        if not any(self._owns):
            return list(sections)
        found: list[Section] = []
        for at in range(0, len(sections), _OF_RESULT):
            own = self._owns[at // _OF_RESULT] if at // _OF_RESULT < len(self._owns) else None
            result = sections[at : at + _OF_RESULT]
            found += self._over_result(own, result) if own and len(result) > 1 else result
        return found

    # Shells.

    def _unknown(
        self, shares: Sequence[host_shell.Share], lines: Sequence[str]
    ) -> list[host_shell.Share]:
        """The shares, those that were told taken for knowable."""
        if not self._told or not shares:
            return list(shares)
        owners = host_shell.divide(lines, shares)
        found = []
        for at, share in enumerate(shares):
            own = [line for line, owner in zip(lines, owners, strict=True) if owner == at]
            is_told = (
                share.is_host and not share.is_chance and host_shell.is_told(share, own, self._told)
            )
            found.append(dataclasses.replace(share, is_host=share.is_host and not is_told))
        return found

    def _over_text(self, section: Section) -> Section:
        owners = host_shell.divide(section.lines, self._shares)
        lines: list[str] = []
        for line, owner in zip(section.lines, owners, strict=True):
            if owner is None or not self._shares[owner].is_host:
                lines.append(line)
            elif lines[-1:] != [HIDDEN]:
                lines.append(HIDDEN)
        return dataclasses.replace(section, lines=tuple(lines), owned=())

    # SQL.

    def _untold(
        self, at: int, own: host_sql.Own | None, real: Sequence[Section]
    ) -> host_sql.Own | None:
        """What of a result is the server's own and was not told."""
        result = real[at * _OF_RESULT : (at + 1) * _OF_RESULT]
        if own is None or len(result) < _OF_RESULT:
            return own
        cells = [line.split(CELL) for line in result[1].lines]
        if own.variables:
            names = (row[0] for row in cells if self._knows_variable(row))
            return dataclasses.replace(own, names=frozenset(names))
        told = {place for place in own.places if self._is_told(place, cells)}
        return dataclasses.replace(own, places=own.places - told)

    def _knows_variable(self, row: Sequence[str]) -> bool:
        return host_sql.knows_variable(row[0], "".join(row[1:2]), self._told)

    def _is_told(self, place: int, cells: Sequence[Sequence[str]]) -> bool:
        values = [row[place] for row in cells if place < len(row)]
        return bool(values) and all(host_sql.is_told(value, self._told) for value in values)

    def _over_result(self, own: host_sql.Own, result: Sequence[Section]) -> list[Section]:
        columns, rows, *rest = result
        names = columns.lines[0].lower().split(CELL) if columns.lines else []
        lines = rows.lines
        if own.everything:
            lines = (HIDDEN,) if lines else ()
        elif own.variables:
            known = tuple(line for line in lines if line.partition(CELL)[0] in own.names)
            lines = known if len(known) == len(lines) else (*known, HIDDEN)
        elif names == ["explain"]:
            lines = tuple(map(host_sql.without_costs, lines))
        else:
            places = own.places | {at for at, name in enumerate(names) if name in own.names}
            lines = tuple(_without(line, places) for line in lines)
        return [columns, dataclasses.replace(rows, lines=lines), *rest]


def _without(line: str, places: frozenset[int]) -> str:
    return CELL.join(HIDDEN if at in places else cell for at, cell in enumerate(line.split(CELL)))


def _is_nothing_left(sections: Sequence[Section]) -> bool:
    """Whether all that was printed is hidden: headers and counts say nothing by themselves."""
    lines = [
        line for section in sections if section.name in ("text", "rows") for line in section.lines
    ]
    return bool(lines) and all(set(line.split(CELL)) == {HIDDEN} for line in lines)
