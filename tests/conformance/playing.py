"""Who plays the simulated sides of the conformance suite: a small scripted world for each kind.

It looks at a request as a model would: the grounding is in the system message, the history in the
messages. It knows nothing of plumb's innards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse, Response
from tests.model_endpoint import Body, completion

_FOREVER = 999999
_NUMBERS = range(1, 100_001)


def shell_reply(action: bytes, before: Sequence[bytes], *, grounded: bool) -> dict[str, Any]:
    """What a shell says, as far as the suite asks."""
    changed = b"rm /srv/word; cd /tmp" in before or action == b"rm /srv/word; cd /tmp"
    there = grounded and not changed
    replies: Mapping[bytes, tuple[str, int, int]] = {
        b"cat /srv/word": ("grounded\n", 0, 0)
        if there
        else ("cat: /srv/word: No such file or directory\n", 1, 0),
        b"rm /srv/word; cd /tmp": ("", 0, 0),
        b"echo hello": ("hello\n", 0, 0),
        b"nope": ("bash: nope: command not found\n", 127, 0),
        b"seq 100000": ("".join(f"{number}\n" for number in _NUMBERS), 0, 0),
        b"head -c 300000 /dev/zero | tr '\\0' '\\377'": ("\ufffd" * 100_000, 0, 0),
        b"echo begun; sleep 600": ("begun\n", 0, 600),
        b"": ("", 0, 0),
    }
    output, status, seconds = replies[action]
    cwd = "/tmp" if changed else "/root"
    return {"output": output, "exit_code": status, "cwd": cwd, "seconds": seconds}


def mysql_reply(action: bytes, before: Sequence[bytes], *, grounded: bool) -> dict[str, Any]:
    """What a MySQL client says, as far as the suite asks."""
    there = grounded and b"DROP TABLE words" not in before
    no_table = "ERROR 1146 (42S02): Table 'plumb.words' doesn't exist\n"
    if action.startswith(b"SET cte"):
        numbers = _table("n", [f"{number:>6}" for number in _NUMBERS])
        return _sql(f"Query OK, 0 rows affected (0.00 sec)\n\n{numbers}")
    if b"REPEAT" in action:
        return _sql(_table("REPEAT", ["\ufffd" * 100] * 899))
    replies: Mapping[bytes, dict[str, Any]] = {
        b"SELECT * FROM words": _sql(_table("word", ["grounded"])) if there
        else _sql(no_table, errno=1146),
        b"DROP TABLE words": _sql("Query OK, 0 rows affected (0.01 sec)\n") if there
        else _sql("ERROR 1051 (42S02): Unknown table 'plumb.words'\n", errno=1051),
        b"SELECT 'hello'": _sql(_table("hello", ["hello"])),
        b"nope": _sql("ERROR 1064 (42000): You have an error near 'nope' at line 1\n", errno=1064),
        b"SELECT 'begun'; SELECT SLEEP(600)": _sql(_table("begun", ["begun"]), seconds=_FOREVER),
        b"": _sql(""),
    }  # fmt: skip
    return replies[action]


def _sql(output: str, *, errno: int = 0, seconds: int = 0) -> dict[str, Any]:
    return {"output": output, "errno": errno, "seconds": seconds}


def _table(name: str, cells: Sequence[str]) -> str:
    width = max(len(name), *map(len, cells))
    border = f"+{'-' * (width + 2)}+"
    rows = "\n".join(f"| {cell:<{width}} |" for cell in cells)
    count = f"{len(cells)} row{'s' if len(cells) > 1 else ''} in set (0.00 sec)"
    return f"{border}\n| {name:<{width}} |\n{border}\n{rows}\n{border}\n{count}\n"


REPLIES = {"shell": shell_reply, "mysql": mysql_reply}


async def plays(body: Body) -> Response:
    """Answers a request, whichever kind it is of."""
    system, *history, last = [message["content"] for message in body["messages"]]
    kind = "shell" if "interactive bash" in system else "mysql"
    grounded = "Script 1:" in system
    before = [text.encode() for text in history[::2]]
    if last.startswith("[This is not an action"):
        changes = [action for action in before if b"rm" in action or b"DROP" in action]
        entries = [{"key": "state", "value": repr(changes)}]
        return JSONResponse(completion(json.dumps({"entries": entries})))
    action = last.encode().replace(b"\\xc3", b"\xc3")
    return JSONResponse(completion(json.dumps(REPLIES[kind](action, before, grounded=grounded))))
