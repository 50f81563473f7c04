"""The cassette: recorded model replies, keyed by everything that shaped them.

One JSON line a reply, appended under a lock, so that several processes can record into one file. A
crash can cut the last line short; whoever writes next takes the rest of it away first, and readers
stop before it. Only replies of models are here, never observations of real environments, and what
is not a whole reply (an error, a lost connection) is never recorded.
"""

import asyncio
import dataclasses
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from plumb_backends.simulated.messages import MAX_TOKENS, ChatReply, ChatRequest, ToolCall, sendable

_FORMAT = 1
_MODE = 0o600
_REPLY_TYPES: dict[str, tuple[type, ...]] = {
    "content": (str, type(None)),
    "finish_reason": (str,),
    "refusal": (str,),
    "prompt_tokens": (int,),
    "completion_tokens": (int,),
    "calls": (tuple,),
}


class BadCassette(Exception):
    """A line of the file, not the last, is no record; the message says which and why."""


def key_of(request: ChatRequest, *, prompts: str, grounding: str, sample: int) -> str:
    """What a reply is found by.

    Args:
        request: Model, parameters and all messages: the history with them.
        prompts: The digest of every prompt, those included that no message shows.
        grounding: The digest of the init scripts and the task, told or not.
        sample: Which attempt at the same request this is, from 1.
    """
    shaped_by = {
        "format": _FORMAT,
        "request": request.body(),
        "prompts": prompts,
        "grounding": grounding,
        "sample": sample,
    }
    return digest_of(shaped_by)


def digest_of(value: object) -> str:
    """A digest of JSON data, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Cassette:
    """One file of recorded replies; it need not be there yet.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._replies: dict[str, ChatReply] = {}
        self._read_to = 0
        self._line = 0
        self._turn = asyncio.Lock()

    async def read(self) -> None:
        """Reads what is there, or was added since.

        Raises:
            BadCassette: See there.
        """
        async with self._turn:
            await asyncio.to_thread(self._read_on)

    async def find(self, key: str) -> ChatReply | None:
        """The recorded reply; None if there is none, in what other processes wrote neither.

        Raises:
            BadCassette: See there.
        """
        if key not in self._replies:
            await self.read()
        return self._replies.get(key)

    async def add(self, key: str, request: ChatRequest, reply: ChatReply) -> None:
        """Records a reply; the last one of a key counts."""
        record = {
            "key": key,
            "model": request.model,
            "asked": request.messages[-1].content,
            "reply": dataclasses.asdict(reply),
        }
        line = json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        async with self._turn:
            await asyncio.to_thread(self._append, line)
            self._replies[key] = reply

    # In a thread.

    def _read_on(self) -> None:
        """Reads the lines that were added since, up to the last whole one."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        for line in whole.split(b"\n") if newline else ():
            self._line += 1
            self._take(line)
        self._read_to += len(whole) + len(newline)

    def _take(self, line: bytes) -> None:
        try:
            record: Any = json.loads(line)
            self._replies[record["key"]] = _read_reply(record["reply"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BadCassette(
                f"{self._path}:{self._line}: this is no recorded reply ({error}); "
                "take the line out, or record anew"
            ) from error

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a+b", opener=_open_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            _take_away_rest(file)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _open_private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read: what agents typed, and what they were told."""
    descriptor = os.open(path, flags, _MODE)
    try:
        os.fchmod(descriptor, _MODE)
    except PermissionError:  # it is somebody else's, who has chosen
        pass
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read_reply(said: Any) -> ChatReply:
    """Reads a reply; raises TypeError or ValueError where it is none."""
    if not isinstance(said, dict):
        raise TypeError(f"it is {said!r:.80}")
    calls = tuple(_read_call(**call) for call in said.get("calls", ()))
    return _checked(ChatReply(**{**said, "calls": calls}))


def _read_call(*, id: str, name: str, arguments: str) -> ToolCall:  # noqa: A002 - as recorded
    for value in (id, name, arguments):
        if not isinstance(value, str):
            raise TypeError(f"a call has {value!r:.80}")
    return ToolCall(sendable(id), sendable(name), sendable(arguments))


def _checked(reply: ChatReply) -> ChatReply:
    """Checks what a file says of a reply; raises TypeError."""
    for name, wanted in _REPLY_TYPES.items():
        value = getattr(reply, name)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r:.80}")
        if isinstance(value, int) and not 0 <= value <= MAX_TOKENS:
            raise TypeError(f"{name} is {value!r:.80}")
    content = None if reply.content is None else sendable(reply.content)
    return dataclasses.replace(reply, content=content, refusal=sendable(reply.refusal))


def _take_away_rest(file: BinaryIO) -> None:
    """Takes away what a crash left behind the last whole line."""
    end = position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position < end:
        file.truncate(position)
