"""Work grows with the input and no faster, whatever somebody else wrote."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from plumb_fidelity import client_table, compare, foreign, host_shell, host_sql
from plumb_fidelity.action import (
    awaits_input,
    changes_state,
    commands,
    is_random,
    prints_names,
    sql_order,
    sql_statements,
)
from plumb_fidelity.alignment import is_unaligned
from plumb_fidelity.breaks import find_breaks
from plumb_fidelity.chance import of_expression, of_shell_variables
from plumb_fidelity.invariants import broken
from plumb_fidelity.messages import same_message
from plumb_fidelity.orders import order_of
from plumb_fidelity.owners import owners
from plumb_fidelity.shell_licences import of_shell
from plumb_fidelity.signature import render, weight, without_controls
from plumb_fidelity.sql_licences import of_result
from plumb_fidelity.tokens import tokenise

_SMALL, _TIMES = 1_000, 8
_NET = 4
"""Eight times the input may take 4 x 8 times as long: what is quadratic takes 64 times."""

_TICK = 0.15
"""Seconds of work below which a time says nothing."""

_REPEATED = [
    "a\n", "a", " ", "\n", "\t", "1", "1\n", "1 ", "1.", "1:", "1-", "e1", "/* ", "-- ", "'", '"',
    "`", "\\'", "'\\", "('", "(", ")", "[", "{", "|", "|a\n", "| a |\n", "+-", "+--+\n", "-", "*",
    ";", "#", "&", "& ", "> ", "$", "$(", "<", "shuf ", "shuf|", ": shuf ", "sort -R ",
    "order by rand() ", "order by rand(", "order by a ", "limit 1 ", "limit ", "where a='",
    "where a ", "group by ", "group by a.", "select ", "select count(", "version ", "show ",
    "sed -i", "sed -", "Jan ", "Jan 1 ", "Mon, ", "2026-01-01 ", "12:00", "1 sec", "1m", "0f",
    "abcdef01-", "ERROR 1", "ERROR 1 (", "Query OK, ", "Empty set, 1", "1 row in set", "(1 a ",
    "(", " sec)", "*** 1. row ***\n", "a: b\n", "a: ", ": ", "Here is the ", "this command ",
    "I am sorry ", "The is a ", "```", "```\n", "root@h:/# ", "root@h:/# a\n", "(x) ", "a@b:",
    "...", "[ ...", "(1 more ", "\x1b", "\x1b[", "\x1b]0;", "\x1b[K", "\r", "\x08", "\x00",
    "\x1f", "\u65e5", "e\u0301", "\ufffd", "find -name '*a*", "ls ", "sudo ", "a=b ",
    "line 1 x\n", "$(a ", "$(", "xargs ", "tee ", "1 elapsed ", "near 'a' ",
    "d", "drwxr-xr-x 1 root root 1 Jan 1 12:00 a\n", "[1] ", "[1]+ ",
]  # fmt: skip


def _repeated(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit))


_TEXTS: dict[str, Callable[[int], str]] = {repr(unit): _repeated(unit) for unit in _REPEATED} | {
    "lines that all differ": lambda size: "".join(f"{at} a\n" for at in range(size // 8)),
    "others that all differ": lambda size: "".join(f"b {at:x} c\n" for at in range(size // 8)),
    "a row that is not closed": lambda size: "+---+\n| a |\n+---+\n|" + " a\n" * (size // 3),
    "a field without its colon": lambda size: "*" * 20 + " 1. row " + "*" * 20 + "\n" + " " * size,
    "a wide table": lambda size: "\n".join(
        [(line := "+---" * (size // 16) + "+"), "| a " * (size // 16) + "|", line]
    ),
    "nested": lambda size: "(" * (size // 2) + ")" * (size // 2),
    "one word": lambda size: "group by " + "a" * size + "!",
    "one number": lambda size: "limit " + "9" * size,
    "an exponent": lambda size: "1e" + "9" * size,
    "a wide space": lambda size: "limit 1" + " " * size + "x",
    "words that are nearly alike": lambda size: "".join(
        f"{'x ' * 20}{at}\n{'y ' * 20}\n" for at in range(size // 80)
    ),
}  # fmt: skip

_PROMPT = r"[\w.-]+@[\w.-]+:[^#$\n]*[#$] "
_DUE = "a 1\nb 2\n"

_OPERATIONS: dict[str, Callable[[str], object]] = {
    "compare, simulated": lambda text: compare([_DUE], text, action="cat f", prompt=_PROMPT),
    "compare, real": lambda text: compare([text], _DUE, action="cat f"),
    "compare, both": lambda text: compare([text], text[::-1], action="find ."),
    "compare, runs": lambda text: compare([text, text + "a", text[1:]], text[2:], action="ls"),
    "compare, action": lambda text: compare([_DUE], "a 2\n", action=text),
    "compare, rows": lambda text: compare([text], _DUE, action="SELECT 1", is_table=True),
    "compare, statement": lambda text: compare([_DUE], "a", action=text, is_table=True),
    "compare, history": lambda text: compare([_DUE], "a", action="pwd", history=[(text, text)]),
    "action": lambda text: (
        commands(text),
        prints_names(text),
        of_shell(text).at(text),
        order_of(text),
        [(is_random(text, sql=sql), changes_state(text, sql=sql)) for sql in (True, False)],
        (host_shell.shares(text), host_sql.own_of(text)),
    ),
    "orders": lambda text: (
        order_of(f"declare -A {text}; cat f", [text, f"find . > {text}", f"tar cf {text}"]),
        owners(text, [text]),
        is_unaligned("column -t f", text + "\na", text),
        (list(of_shell_variables("RANDOM" + text)), of_expression(text), awaits_input(text)),
    ),
    "statements": lambda text: (
        sql_statements(text),
        sql_order(text),
        of_result(text, ["a"], ["full"]),
        same_message(f"error 1064 {text}", f"error 1064 x{text}"),
    ),
    "breaks": lambda text: find_breaks(text, text, prompt=_PROMPT, is_table=True),
    "invariants": lambda text: (broken(text, text), broken(text, _TABLE, is_table=True)),
    "an own glob": lambda text: broken(f"find -name {text}", text),
    "client table": client_table.read,
    "tokens": tokenise,
    "foreign": lambda text: foreign.strip(text, command=text[:100]),
    "render": lambda text: render(text.encode()),
    "without rendering": lambda text: (weight(text.encode()), without_controls(text.encode())),
}
_TABLE = "+---+\n| a |\n+---+\n| 1 |\n+---+\n1 row in set (0.00 sec)\n"


@pytest.fixture(autouse=True)
def _no_collections() -> Iterator[None]:
    """A collection would go through all that other tests have left, within a measured time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _seconds(operation: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    operation(text)
    return time.process_time() - started


@pytest.mark.parametrize("name", _OPERATIONS)
def test_work_is_linear_in(name: str) -> None:
    slow = []
    for kind, text in _TEXTS.items():
        small = _seconds(_OPERATIONS[name], text(_SMALL))
        assert small < 5.0, kind  # a power of 3 would not come back from the larger one
        large = _seconds(_OPERATIONS[name], text(_TIMES * _SMALL))
        if large > max(_NET * _TIMES * small, _TICK):
            slow.append(f"{kind}: {small:.3f} s and {large:.3f} s")
    assert not slow


@pytest.mark.parametrize(
    ("real", "simulated", "action"),
    [
        pytest.param("a\n" * 32_000, "bash: yes: command not found\n", "yes a | head -32000",
                     id="one line 32,000 times"),
        pytest.param("".join(f"a {at}\n" for at in range(30_000)),
                     "".join(f"b {at}\n" for at in range(30_000)), "cat f", id="30,000 others"),
        pytest.param("a", "b", ": " + "shuf " * 16_000, id="shuf 16,000 times"),
        pytest.param("a", "b", "select 1 " + "order by rand() " * 8_000, id="order by rand()"),
        pytest.param("x " * 250_000, "y " * 250_000, "cat f", id="one line of 500 KB"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_table", [False, True])
def test_comparisons_that_took_minutes_are_done(
    real: str, simulated: str, action: str, *, is_table: bool
) -> None:
    assert compare([real], simulated, action=action, is_table=is_table).verdict
    # They take up to 4 s; they took 10 to 50, and would do so again long before this net.
    assert _seconds(lambda _: compare([real], simulated, action=action), "") < 30


@pytest.mark.parametrize("digits", ["9" * 5_000, "9" * 100_000, "1e999999999", "1.5e-999999999"])
@pytest.mark.parametrize(
    ("text", "action", "is_table"),
    [
        ("{}", "cat f", False),
        ("[1] {}", "sleep 9 &", False),
        ("a", "seq 9 | head -n {}", False),
        ("Query OK, {} rows affected (0.00 sec)", "DELETE FROM t", True),
        ("Empty set, {} warnings (0.00 sec)", "SELECT 1", True),
        ("ERROR {} (42000): no", "SELECT 1", True),
        (_TABLE, "SELECT a FROM t LIMIT {}", True),
        (_TABLE, "SELECT a FROM t ORDER BY {}", True),
        (_TABLE.replace("1 row", "{} rows"), "SELECT 1", True),
    ],
)
def test_numbers_of_any_size_are_compared(
    digits: str, text: str, action: str, *, is_table: bool
) -> None:
    written, typed = text.format(digits), action.format(digits)
    for real, simulated in ((written, "1"), ("1.25e9", written), (written, written + "1")):
        assert compare([real], simulated, action=typed, is_table=is_table).verdict


def test_a_square_is_no_position() -> None:
    assert sql_order("SELECT a FROM t ORDER BY \u00b2").keys == ("\u00b2",)
    assert compare([_TABLE], "a", action="SELECT a FROM t ORDER BY \u00b2", is_table=True).verdict


def test_actions_are_not_kept_by_the_megabyte() -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        for at in range(20):
            compare(["a"], "b", action=f"echo {at} " + "x" * 500_000)
        assert tracemalloc.get_traced_memory()[0] < 4 * 1024**2
    finally:
        tracemalloc.stop()
