"""Checks that need no reference: what an answer says against itself, the action, or the past.

Cheap and precise rather than complete: where an action has anything that a check does not know,
the check says nothing. Streams apart would be better still; errors that are joined to an output are
left out line by line.
"""

import fnmatch
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from plumb_fidelity import client_table
from plumb_fidelity.action import commands, sql_order, sql_statements

History: TypeAlias = Sequence[tuple[str, str]]
"""Turns before, as action and text."""

_COMPLAINT = re.compile(r"[\w./-]+: ")
_LIMIT = re.compile(r"\blimit\s++(\d{1,18}+)(?:\s*+(?:;\s*+)?$|\s++offset\b)", re.IGNORECASE)
_COUNT = re.compile(r"^\s*select\s+count\s*\(.*\)(?:\s+as\s+\w+)?\s+from\b", re.IGNORECASE)
_SEVERAL = re.compile(r"\b(?:group\s+by|union|having)\b", re.IGNORECASE)
_MOST_LINES = 200
_JOB = re.compile(r"\[\d+\] (\d+)")
_SAYS_JOB = re.compile(r"\becho [^;|&\n]{0,100}\$!")
_SAYS_SHELL = re.compile(r"\s*echo \$\$(?:(?:\s*;\s*|\s*\n|\s*&&\s*)echo \$\$){1,40}\s*")
_GROUP = re.compile(r"\bgroup\s++by\s++([`\w.]++)\s*+(?:order\b|limit\b|;|$)", re.IGNORECASE)
_WHERE = re.compile(r"\bwhere\s+`?(\w+)`?\s*=\s*(?:'([^']*)'|(-?\d+))\s*(?:order\b|limit\b|;|$)",
                    re.IGNORECASE)  # fmt: skip
_SELECT = re.compile(r"select\s", re.IGNORECASE)
_FROM = re.compile(r"(?<!\s)\s++from\b", re.IGNORECASE)
_COLUMNS = re.compile(r"\*|[\w`, ]+")
_LONGEST_GLOB = 100
_PLAIN = re.compile(r"[\w /:@,-]+")


def broken(action: str, text: str, *, is_table: bool = False, history: History = ()) -> list[str]:
    """What an answer contradicts, a sentence each.

    Args:
        action: What was typed.
        text: What was answered.
        is_table: Whether it is what the `mysql` client prints.
        history: The turns before.
    """
    return list(_sql(action, text) if is_table else _shell(action, text, history))


def _shell(action: str, text: str, history: History) -> Iterator[str]:
    yield from _process_ids(action, text)
    pipeline = _only_pipeline(action)
    lines = [line for line in text.rstrip("\n").split("\n") if line]
    if not pipeline or any(_COMPLAINT.match(line) for line in lines):
        return
    last = pipeline[-1]
    checks = {"head": _head, "tail": _head, "grep": _grep, "sort": _sort, "uniq": _uniq,
              "find": _find, "wc": _wc}  # fmt: skip
    check = checks.get(last[0])
    if check:
        yield from check(last, lines)
    if pipeline == (("pwd",),):
        yield from _pwd(lines, history)
    if pipeline == (("ls",),):
        yield from _touched(lines, history)


def _process_ids(action: str, text: str) -> Iterator[str]:
    """The shell has one process, and a job has the one that the shell said of it."""
    lines = text.split("\n", _MOST_LINES)[:_MOST_LINES]
    jobs = [found[1] for found in map(_JOB.fullmatch, lines) if found]
    said = [line for line in lines if not _JOB.fullmatch(line)]
    is_said = len(jobs) == 1 and _SAYS_JOB.search(action) and not re.search(r">|\$\(", action)
    if is_said and not any(re.search(rf"\b{jobs[0]}\b", line) for line in said):
        yield f"the job has process {jobs[0]}, and $! is another"
    if _SAYS_SHELL.fullmatch(action) and len({line.strip() for line in said if line}) > 1:
        yield "$$ is two processes"


def _only_pipeline(action: str) -> tuple[tuple[str, ...], ...]:
    """The pipeline whose end prints all that is printed; () where there is none, or it goes away.

    A loop whose `done` is piped on is one.
    """
    pipelines = commands(action)
    if not pipelines:
        return ()
    is_loop = pipelines[0][0][0] in ("for", "while", "until") and pipelines[-1][0] == ("done",)
    if len(pipelines) > 1 and not (is_loop and len(pipelines[-1]) > 1):
        return ()
    goes_away = any(">" in word for command in pipelines[-1] for word in command)
    return () if goes_away else pipelines[-1]


def _head(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    found = re.fullmatch(r"(?:-(?:n ?)?(\d{1,18}))?(?: ?[^- ]\S*)?", " ".join(command[1:]))
    most = int(found[1] or 10) if found else len(lines)
    if len(lines) > most:
        yield f"{len(lines)} lines of {command[0]}, which prints at most {most}"


def _grep(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    flags = "".join(word[1:] for word in command[1:] if word.startswith("-"))
    words = [word for word in command[1:] if not word.startswith("-")]
    if set(flags) - set("inE") or not words or not _PLAIN.fullmatch(words[0]):
        return
    pattern = words[0].lower() if "i" in flags else words[0]
    for line in lines:
        if pattern not in (line.lower() if "i" in flags else line):
            yield f"grep prints a line without {words[0]!r}: {line[:100]}"
            return


def _sort(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    flags = "".join(word[1:] for word in command[1:] if word.startswith("-"))
    if set(flags) - set("nru") or any(word.startswith("+") for word in command[1:]):
        return
    if "n" in flags:
        keys: list[float] = []
        for line in lines:
            found = re.match(r"\s*-?\d+(?:\.\d+)?", line)
            keys.append(float(found[0]) if found else 0.0)
        ordered = sorted(keys, reverse="r" in flags)
        if keys != ordered:
            yield "what sort -n prints is not sorted"
    elif lines != sorted(lines, reverse="r" in flags) and all(line.isascii() for line in lines):
        yield "what sort prints is not sorted"  # by bytes: the locale is C.UTF-8


def _uniq(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    if not any(word.startswith("-") for word in command) and any(
        a == b for a, b in itertools.pairwise(lines)
    ):
        yield "uniq prints the same line twice in a row"


def _find(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    words = list(command)
    if "-name" not in words or {"-o", "-or", "!", "-not", "-exec", "-printf", "-ls"} & set(words):
        return
    glob = words[words.index("-name") + 1 : words.index("-name") + 2]
    if not glob or len(glob[0]) > _LONGEST_GLOB:
        return
    for line in lines:
        if not fnmatch.fnmatchcase(line.rstrip("/").rpartition("/")[2], glob[0]):
            yield f"find -name {glob[0]} prints {line[:100]}"
            return


def _wc(command: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    if list(command[1:]) in (["-l"], ["-w"], ["-c"]) and not (
        len(lines) == 1 and lines[0].strip().isdigit()
    ):
        yield f"wc {command[1]} prints no single number"


def _pwd(lines: Sequence[str], history: History) -> Iterator[str]:
    for action, text in reversed(history):
        found = re.fullmatch(r"cd (/[\w./-]*)", action.strip())
        if found and not text.strip():
            wanted = found[1].rstrip("/") or "/"
            if list(lines) != [wanted] and ".." not in wanted:
                yield f"pwd says {' '.join(lines)[:100]} after cd {wanted}"
            return
        if re.search(r"\b(?:cd|pushd|popd|source|exec)\b|^\. ", action):
            return


def _touched(lines: Sequence[str], history: History) -> Iterator[str]:
    if not history:
        return
    action, text = history[-1]
    found = re.fullmatch(r"(?:touch|mkdir) ([\w.-]+)", action.strip())
    if (
        found
        and not text.strip()
        and not found[1].startswith(".")
        and found[1] not in " ".join(lines).split()
    ):
        yield f"ls does not show {found[1]}, which was just made"


def _sql(action: str, text: str) -> Iterator[str]:
    statements = sql_statements(action)
    printed = client_table.read(text)
    if len(statements) != 1 or len(printed.results) != 1 or printed.results[0].errno:
        return
    statement, result = statements[0].strip(), printed.results[0]
    limit = _LIMIT.search(statement)
    if limit and statement.lower().startswith("select") and len(result.rows) > int(limit[1]):
        yield f"{len(result.rows)} rows with LIMIT {limit[1]}"
    is_one_count = _COUNT.match(statement) and not _SEVERAL.search(statement)
    if is_one_count and len(result.rows) != 1:
        yield f"COUNT gives {len(result.rows)} rows"
    yield from _where(statement, result)
    yield from _group(statement, result)
    yield from _sorted(statement, result)


def _column(name: str, result: client_table.PrintedResult) -> int | None:
    names = [column.lower() for column in result.columns]
    return names.index(name.lower()) if names.count(name.lower()) == 1 else None


def _where(statement: str, result: client_table.PrintedResult) -> Iterator[str]:
    found = _WHERE.search(statement)
    if not found or re.search(r"\b(?:union|join)\b|\(", statement, re.IGNORECASE):
        return
    if not _selects_columns(statement):
        return
    at, wanted = _column(found[1], result), found[2] if found[2] is not None else found[3]
    for row in result.rows if at is not None else ():
        value = row[at or 0]
        if value is None or (value.lower() != wanted.lower() and not _same_number(value, wanted)):
            yield f"a row has {found[1]} {value}, and WHERE asks for {wanted}"
            return


def _selects_columns(statement: str) -> bool:
    """Whether it selects columns as they are, or all."""
    selected, of = _SELECT.match(statement), _FROM.search(statement)
    if not selected or not of:
        return False
    return bool(_COLUMNS.fullmatch(statement[selected.end() : of.start()].strip()))


def _same_number(left: str, right: str) -> bool:
    try:
        return float(left) == float(right)
    except ValueError:
        return False


def _group(statement: str, result: client_table.PrintedResult) -> Iterator[str]:
    found = _GROUP.search(statement)
    name = found[1].replace("`", "").rpartition(".")[2] if found else ""
    at = _column(name, result) if name else None
    if at is not None and not re.search(r"\b(?:union|rollup)\b", statement, re.IGNORECASE):
        values = [row[at] for row in result.rows]
        if len(set(values)) != len(values):
            yield f"GROUP BY {name} gives the same {name} twice"


def _sorted(statement: str, result: client_table.PrintedResult) -> Iterator[str]:
    order = sql_order(statement)
    found = re.search(
        r"\border\s+by\s+`?(\w+)`?(\s+desc)?\s*(?:limit\b|;|$)", statement, re.IGNORECASE
    )
    at = _column(found[1], result) if found and len(order.keys) == 1 else None
    if not found or at is None:
        return
    try:
        values = [float(row[at] or "") for row in result.rows if row[at] is not None]
    except ValueError:
        return  # texts are sorted by a collation, which is not known here
    if values != sorted(values, reverse=bool(found[2])):
        yield f"rows are not sorted by {found[1]}"
