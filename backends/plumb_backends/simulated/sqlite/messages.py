"""What the server and a session's process say to each other: JSON, with its length before it.

Nothing that comes from the process is believed but its types: it runs an agent's SQL.
"""

import dataclasses
import json
import struct
from collections.abc import Mapping
from typing import Any

from plumb_backends.kinds.mysql import Rendering

LENGTH = struct.Struct("!I")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_TEXT_BYTES = 4 * 1024 * 1024
"""What the output of one action may take; the middle of a longer one is cut."""


class BadMessage(Exception):
    """The other side sent something that is no message."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Asks for a new database, and for the init scripts to be run on it."""

    database: str
    rendering: Rendering
    scripts: tuple[str, ...]
    script_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Asks for an action to be run, and stopped after so many seconds."""

    action: bytes
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Asks for a probe suite to be answered, as far as so many seconds allow."""

    suite: str
    seconds: float


Request = Begin | Run | Probe


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a `Run`."""

    text: str
    errno: int
    timed_out: bool


def pack(message: Mapping[str, object]) -> bytes:
    """Writes a message with its length before it."""
    body = json.dumps(message, ensure_ascii=False).encode(errors="replace")
    return LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """Reads a message's body.

    Raises:
        BadMessage: It is no JSON object.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadMessage(str(error)) from error
    if not isinstance(message, dict):
        raise BadMessage(f"a {type(message).__name__}")
    return message


def pack_request(request: Request) -> bytes:
    """Writes a request."""
    fields = dataclasses.asdict(request)
    match request:
        case Begin():
            fields["rendering"] = request.rendering.value
        case Run():
            fields["action"] = request.action.decode("latin-1")
    return pack({"ask": type(request).__name__, **fields})


def read_request(body: bytes) -> Request:
    """Reads a request; the server's are always whole."""
    fields = unpack(body)
    match fields.pop("ask"):
        case "Begin":
            rendering, scripts = Rendering(fields.pop("rendering")), tuple(fields.pop("scripts"))
            return Begin(rendering=rendering, scripts=scripts, **fields)
        case "Run":
            return Run(action=fields.pop("action").encode("latin-1"), **fields)
        case _:
            return Probe(**fields)


def read_ran(message: Mapping[str, object]) -> Ran:
    """Reads what came of a `Run`.

    Raises:
        BadMessage: It is something else.
    """
    text, errno, timed_out = (message.get(name) for name in ("text", "errno", "timed_out"))
    if isinstance(text, str) and isinstance(errno, int) and isinstance(timed_out, bool):
        return Ran(text=text, errno=errno, timed_out=timed_out)
    raise BadMessage("the result of an action without its fields")


def read_facts(message: Mapping[str, object]) -> dict[str, str]:
    """Reads the answer to a `Probe`.

    Raises:
        BadMessage: It is something else.
    """
    facts = message.get("facts")
    if isinstance(facts, dict) and all(isinstance(value, str) for value in facts.values()):
        return facts
    raise BadMessage("the answer to a probe without facts")
