"""The one table, for terminals."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from findings import Budget, Findings, Row, figure


def rows_table(findings: Iterable[Findings], machine: Mapping[str, Any]) -> Table:
    """All rows, a section for each subject, with numbers for the notes."""
    found = list(findings)
    notes = numbered(found)
    table = Table(title="plumb and others, in one run", caption=_said(machine), header_style="bold")
    table.add_column("what", max_width=24)
    table.add_column("who", min_width=24)
    for name in ("runs", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("/ ours", justify="right", no_wrap=True)
    table.add_column("note", justify="right", no_wrap=True)
    subject = ""
    for row in (row for one in found for row in one.rows):
        if row.subject != subject:
            table.add_section()
        _add(table, row, notes.get(row.note), is_first=row.subject != subject)
        subject = row.subject
    return table


def numbered(findings: Iterable[Findings]) -> dict[str, int]:
    """The number of each note, from 1, in the order of the table."""
    notes = dict.fromkeys(row.note for one in findings for row in one.rows if row.note)
    return {note: number for number, note in enumerate(notes, start=1)}


def _add(table: Table, row: Row, note: int | None, *, is_first: bool) -> None:
    table.add_row(
        row.subject if is_first else "",
        row.way,
        str(row.runs or "-"),
        figure(row.p50),
        figure(row.p95),
        row.unit,
        figure(row.ratio),
        str(note or ""),
        style="bold" if row.is_ours else None,
    )


def budgets_table(findings: Iterable[Findings]) -> Table:
    """The bars of the design, and which are met."""
    table = Table(title="Budgets", header_style="bold")
    table.add_column("what")
    for name in ("bar", "measured"):
        table.add_column(name, justify="right")
    table.add_column("")
    for budget in (budget for one in findings for budget in one.budgets):
        table.add_row(budget.what, budget.bar, figure(budget.measured), *_answer(budget))
    return table


def _answer(budget: Budget) -> tuple[str]:
    if budget.is_met is None:
        return ("[yellow]not measured[/]",)
    return ("[green]met[/]" if budget.is_met else "[red]missed[/]",)


def _said(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
