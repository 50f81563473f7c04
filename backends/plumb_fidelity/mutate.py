"""Errors of every class, planted in real outputs: what the differ itself is tested with.

Each plant takes a real answer and makes one simple mistake of a simulator in it, or gives None
where the answer has no place for it. A published table of what the differ finds of them is what
its verdicts can be believed for.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from plumb_fidelity import client_table, invariants
from plumb_fidelity.failure import failure_of
from plumb_fidelity.seen import Seen
from plumb_fidelity.tokens import is_of_now, tokenise
from plumb_fidelity.truth import Truth
from plumb_fidelity.volatility import Hole

Plant: TypeAlias = Callable[[Truth, random.Random], Seen | None]

_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"(?<![\w.])\d{1,18}(?![\w.])")
_ERRORS = {
    "ENOENT": "{program}: cannot access 'example': No such file or directory",
    "EACCES": "{program}: cannot open 'example': Permission denied",
    "NOT_FOUND": "bash: {program}: command not found",
}
_SQL_ERRORS = {
    "1146": "ERROR 1146 (42S02): Table 'shop.example' doesn't exist",
    "1054": "ERROR 1054 (42S22): Unknown column 'example' in 'field list'",
    "1142": "ERROR 1142 (42000): SELECT command denied to user 'agent'@'%' for table 'example'",
}


def plant(name: str, truth: Truth, rng: random.Random) -> Seen | None:
    """Plants one error of a class.

    Args:
        name: The class, one of `PLANTS`.
        truth: The real runs of one action; the first is what is changed.
        rng: Where the choices come from.

    Returns:
        What a simulator that makes this mistake would have answered; None where there is no place.
    """
    made = PLANTS[name](truth, rng)
    return None if made is None or made.text == truth.real[0].text else made


def _answer(truth: Truth, text: str, *, failed: bool | None = None, code: int = 1) -> Seen:
    real = truth.real[0]
    if truth.is_table:
        errno = real.errno if failed is None else (code if failed else 0)
        return Seen(text=text, errno=errno, ending="EXITED")
    exit_code = real.exit_code if failed is None else (code if failed else 0)
    return Seen(text=text, exit_code=exit_code, ending=real.ending if failed is None else "EXITED")


def _succeeds(truth: Truth) -> bool:
    real = truth.real[0]
    return not real.failed and not failure_of(real, is_table=truth.is_table).classes


def _format_break(truth: Truth, rng: random.Random) -> Seen | None:
    text = truth.real[0].text.rstrip("\n")
    if not text:
        return None
    return _answer(truth, f"```{rng.choice(['', 'bash', 'text'])}\n{text}\n```")


def _character_break(truth: Truth, rng: random.Random) -> Seen | None:
    text = truth.real[0].text
    said = rng.choice(
        [
            f"Sure, here is the output of the command:\n\n{text}",
            "I'm sorry, but I cannot do that.",
            f"Here is the output of your command:\n{text}",
            f"{text}\nLet me know if there is anything else!",
        ]
    )
    return _answer(truth, said)


def _false_success(truth: Truth, rng: random.Random) -> Seen | None:
    real = truth.real[0]
    if not real.failed or not failure_of(real, is_table=truth.is_table).classes:
        return None
    if truth.is_table:
        return _answer(
            truth, f"Query OK, {rng.randint(1, 9)} rows affected (0.01 sec)", failed=False
        )
    return _answer(truth, rng.choice(["", "done\n", "ok: 1 item\n"]), failed=False)


def _error(truth: Truth, name: str) -> Seen:
    if truth.is_table:
        return _answer(truth, _SQL_ERRORS[name], failed=True, code=int(name))
    program = (truth.action.split() or ["ls"])[0]
    code = 127 if name == "NOT_FOUND" else 2
    return _answer(truth, _ERRORS[name].format(program=program) + "\n", failed=True, code=code)


def _false_failure(truth: Truth, rng: random.Random) -> Seen | None:
    name = "1142" if truth.is_table else "EACCES"
    return _error(truth, name) if _succeeds(truth) else None


def _default_error(truth: Truth, rng: random.Random) -> Seen | None:
    names = ["1146", "1054"] if truth.is_table else ["ENOENT", "NOT_FOUND"]
    return _error(truth, rng.choice(names)) if _succeeds(truth) else None


def _wrong_error(truth: Truth, rng: random.Random) -> Seen | None:
    real = truth.real[0]
    classes = failure_of(real, is_table=truth.is_table).classes
    if not real.failed or not classes:
        return None
    names = list(_SQL_ERRORS if truth.is_table else _ERRORS)
    return _error(truth, rng.choice([name for name in names if name not in classes]))


def _empty(truth: Truth, rng: random.Random) -> Seen | None:
    text = truth.real[0].text
    if truth.is_table:
        return _answer(truth, "Empty set (0.00 sec)") if "row" in text and "| " in text else None
    return _answer(truth, "") if text.strip() else None


def _spurious(truth: Truth, rng: random.Random) -> Seen | None:
    text = truth.real[0].text
    if not truth.is_table:
        made = rng.choice(["done\n", "3 files processed\n", "/root\n"])
        return None if text.strip() else _answer(truth, made)
    if not text.startswith("Query OK"):
        return None
    return _answer(truth, client_text(("id", "name"), [("1", "a"), ("2", "b")]))


def _fabricated(truth: Truth, rng: random.Random) -> Seen | None:
    def add(rows: list[tuple[str | None, ...]]) -> None:
        rows.insert(rng.randrange(len(rows) + 1), tuple(f"zq{at}" for at in range(len(rows[0]))))

    if truth.is_table:
        return _with_rows(truth, 1, add)
    lines = _lines(truth)
    if not lines or not _succeeds(truth):
        return None
    lines.insert(rng.randrange(len(lines) + 1), "zq-invented.txt qz7")
    return _answer(truth, "\n".join(lines) + "\n")


def _omitted(truth: Truth, rng: random.Random) -> Seen | None:
    def drop(rows: list[tuple[str | None, ...]]) -> None:
        del rows[rng.randrange(len(rows) - 1)]

    if truth.is_table:
        return _with_rows(truth, 3, drop)
    lines = _lines(truth)
    places = [at for at, line in enumerate(lines[:-1]) if line.strip()]
    if len(lines) < 3 or not places or not _succeeds(truth):
        return None
    del lines[rng.choice(places)]
    return _answer(truth, "\n".join(lines) + "\n")


def _wrong_value(truth: Truth, rng: random.Random) -> Seen | None:
    """Changes a digit of a number that is not masked."""
    if truth.is_table:
        return _with_rows(truth, 1, lambda rows: _change_cell(rows, rng))
    learnt = [line for template in truth.templates for line in template.lines]
    lines = _lines(truth)
    if len(learnt) != len(lines):
        return None
    exact = [
        {token.text for token in line.exact(truth.clock)} if line.is_everywhere else set()
        for line in learnt
    ]
    places = [
        (at, found)
        for at, line in enumerate(lines)
        for found in _NUMBER.finditer(line)
        if found[0] in exact[at] and line.count(found[0]) == 1
    ]
    if not places or not _succeeds(truth):
        return None
    at, found = rng.choice(places)
    line, number = lines[at], _other_number(found[0], rng)
    lines[at] = line[: found.start()] + number + line[found.end() :]
    return _answer(truth, "\n".join(lines) + "\n")


def _other_number(number: str, rng: random.Random) -> str:
    at = rng.choice([found.start() for found in _DIGIT.finditer(number)])
    digit = rng.choice([d for d in "123456789" if d != number[at]])
    return number[:at] + digit + number[at + 1 :]


def _change_cell(rows: list[tuple[str | None, ...]], rng: random.Random) -> None:
    places = [
        (i, j)
        for i, row in enumerate(rows)
        for j, cell in enumerate(row)
        if cell and re.fullmatch(r"\d+(?:\.\d+)?", cell)
    ]
    if places:
        i, j = rng.choice(places)
        row = list(rows[i])
        row[j] = _other_number(row[j] or "", rng)
        rows[i] = tuple(row)


def _wrong_order(truth: Truth, rng: random.Random) -> Seen | None:
    if truth.is_table:
        rows = next((t for t in truth.templates if t.section.name == "rows"), None)
        if rows is None or not rows.is_ordered:
            return None
        keys = rows.section.keys
        return _with_rows(truth, 2, lambda found: _swap_rows(found, keys, rng))
    if not all(t.is_ordered for t in truth.templates) or not _succeeds(truth):
        return None
    lines = _lines(truth)
    places = [
        at for at in range(len(lines) - 1) if lines[at].split() != lines[at + 1].split()
        and lines[at].strip() and lines[at + 1].strip()
    ]  # fmt: skip
    if not places:
        return None
    at = rng.choice(places)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return _answer(truth, "\n".join(lines) + "\n")


def _swap_rows(rows: list[tuple[str | None, ...]], keys: Sequence[int], rng: random.Random) -> None:
    def sort_key(row: tuple[str | None, ...]) -> tuple[str | None, ...]:
        return tuple((row[at] or "").lower() for at in keys) if keys else row

    places = [at for at in range(len(rows) - 1) if sort_key(rows[at]) != sort_key(rows[at + 1])]
    if places:
        at = rng.choice(places)
        rows[at], rows[at + 1] = rows[at + 1], rows[at]


def _truncated(truth: Truth, rng: random.Random) -> Seen | None:
    def cut(rows: list[tuple[str | None, ...]]) -> None:
        del rows[rng.randrange(1, len(rows) - 1) :]

    if truth.is_table:
        return _with_rows(truth, 4, cut)
    lines = _lines(truth)
    if len(lines) < 4 or not _succeeds(truth):
        return None
    kept = rng.randrange(1, len(lines) - 1)
    end = rng.choice(["", "...\n"])
    return _answer(truth, "\n".join(lines[:kept]) + "\n" + end)


def _overrun(truth: Truth, rng: random.Random) -> Seen | None:
    if truth.is_table:
        return _with_rows(truth, 1, lambda rows: rows.extend(rows[-1:] * (len(rows) + 8)))
    lines = _lines(truth)
    if not lines:
        return None
    return _answer(truth, "\n".join([*lines, *lines[-1:] * (len(lines) + 8)]) + "\n")


def _implausible(truth: Truth, rng: random.Random) -> Seen | None:
    """A date long before there was such a machine, or a number that no process has."""
    text = truth.real[0].text
    for template in truth.templates:
        for line in template.lines:
            for part in line.pattern:
                changed = _impossible(part, truth)
                if changed and changed[0] in text:
                    return _answer(truth, text.replace(changed[0], changed[1], 1))
    return None


def _impossible(part: object, truth: Truth) -> tuple[str, str] | None:
    if isinstance(part, Hole):
        is_number = all(sample.isdigit() for sample in part.samples)
        return (part.samples[0], "99999999999") if is_number else None
    token = next(iter(tokenise(getattr(part, "text", ""))), None)
    if token is None or not is_of_now(token, truth.clock.at):
        return None
    year = re.search(r"\b20\d\d\b", token.text)
    return (token.text, token.text.replace(year[0], "1970")) if year else None


def _inconsistent(truth: Truth, rng: random.Random) -> Seen | None:
    """Whichever simple change breaks an invariant that holds of the real answer."""
    candidates = [_wrong_order, _fabricated, _wrong_value, _overrun]
    rng.shuffle(candidates)
    known = _broken(truth, truth.real[0].text)
    for candidate in candidates:
        made = candidate(truth, rng)
        if made and set(_broken(truth, made.text)) - set(known):
            return made
    return None


def _broken(truth: Truth, text: str) -> list[str]:
    return invariants.broken(truth.action, text, is_table=truth.is_table)


def _lines(truth: Truth) -> list[str]:
    return truth.real[0].text.rstrip("\n").split("\n") if truth.real[0].text.strip() else []


def _with_rows(
    truth: Truth, least: int, change: Callable[[list[tuple[str | None, ...]]], None]
) -> Seen | None:
    """Changes the rows of an answer that is one table; its borders and its count follow."""
    printed = client_table.read(truth.real[0].text)
    if len(printed.results) != 1 or printed.problems or truth.real[0].text.startswith("*"):
        return None
    result = printed.results[0]
    rows = list(result.rows)
    if len(rows) < least or any("\n" in (cell or "") for row in rows for cell in row):
        return None
    change(rows)
    return None if rows == list(result.rows) else _answer(truth, client_text(result.columns, rows))


def client_text(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """A table as the `mysql` client prints it, but for numbers on the left: that is layout."""
    shown = [[cell if cell is not None else "NULL" for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[at]) for row in shown)) for at, name in enumerate(columns)]
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    body = [border, line(columns), border, *map(line, shown), border]
    count = f"{len(shown)} row{'' if len(shown) == 1 else 's'} in set (0.00 sec)"
    return "\n".join([*body, count])


PLANTS: Mapping[str, Plant] = {
    "FORMAT_BREAK": _format_break,
    "CHARACTER_BREAK": _character_break,
    "FALSE_SUCCESS": _false_success,
    "DEFAULT_ERROR": _default_error,
    "FALSE_FAILURE": _false_failure,
    "WRONG_ERROR": _wrong_error,
    "EMPTY": _empty,
    "SPURIOUS": _spurious,
    "OVERRUN": _overrun,
    "TRUNCATED": _truncated,
    "FABRICATED": _fabricated,
    "OMITTED": _omitted,
    "WRONG_VALUE": _wrong_value,
    "WRONG_ORDER": _wrong_order,
    "IMPLAUSIBLE_VOLATILE": _implausible,
    "INCONSISTENT": _inconsistent,
}
"""By class, how an error of it is planted."""
