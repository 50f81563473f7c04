"""What is said to `containers/guest/run.c`, and what comes back: a program's streams, and its end.

A key on each stream marks where the program ended, because a child that it leaves behind may hold
them open for ever. How it ended is signed with a secret that nothing else in the sandbox can read.
"""

import asyncio
import dataclasses
import hashlib
import re
import secrets

from plumb_backends.capped import Capped
from plumb_backends.environment import Program
from plumb_backends.real import hardening
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.guest import raw, request, texts
from plumb_backends.real.marks import new_key

STDOUT, STDERR = 1, 2

MAX_STREAM_BYTES = 1024 * 1024
"""What is kept of standard output and of standard error, each."""

NOBODY = request([])
"""Said in the place of an order: none comes any more."""

_LONGEST_LINE = 128  # of the marks: a key, a status and a signature
_MAY_FOLLOW = "next"


class Order:
    """What `run.c` is told, and by what its answer is known."""

    def __init__(self, sandbox: Sandbox, program: Program, *, mark: int) -> None:
        self.keys = {STDOUT: new_key(), STDERR: new_key()}
        self.cwd = program.cwd or sandbox.spec.home
        self._secret = secrets.token_hex(32)
        self._program = program
        self._spec = sandbox.spec
        self._mark = mark

    def spelled(self) -> bytes:
        """The request."""
        program, spec = self._program, self._spec
        variables = [f"{name}={value}" for name, value in program.env.items()]
        numbers = (
            int(program.timeout * 1000),
            len(program.stdin),
            hardening.capability_mask(spec.capabilities),
            self._mark,
            spec.limits.disk_bytes,
        )
        return request([
            *(key.encode() for key in self.keys.values()),
            self._secret.encode(),
            raw(program.user or spec.user),
            raw(self.cwd),
            *(str(number).encode() for number in numbers),
            *texts(program.argv),
            *texts(variables),
        ])  # fmt: skip

    def has_signed(self, how: str, signature: str) -> bool:
        """Whether it was `run.c` that said how the program ended."""
        right = hashlib.sha256(f"{self._secret}{how}".encode()).hexdigest()
        return secrets.compare_digest(right, signature)


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """How a stream says that the program has ended."""

    status: str = ""
    signature: str = ""


class _Channel:
    """One of a program's streams: what the program wrote, between plumb's own lines."""

    def __init__(self, first: str, last: str) -> None:
        self.output = Capped(MAX_STREAM_BYTES)
        self.opened: re.Match[bytes] | None = None
        self.ended: _End | None = None
        self._first = re.compile(first.encode())
        self._last = re.compile(last.encode())
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Takes the next piece. What comes after the last line is from a child left behind."""
        if self.ended:
            return
        data = self._held + data
        if self.opened is None:
            self.opened = self._first.match(data)
            if self.opened is None:
                self._hold_first(data)
                return
            data = data[self.opened.end() :]
        last = self._last.search(data)
        certain = last.start() if last else max(0, len(data) - _LONGEST_LINE)
        self.output.add(data[:certain])
        self._held = data[certain:]
        if last:
            self.ended = _End(*(group.decode() for group in last.groups()))

    def _hold_first(self, data: bytes) -> None:
        self._held = data[:_LONGEST_LINE]

    def cut_off(self) -> None:
        """Takes what was held for what the program wrote: the last line will not come."""
        if not self.ended:
            self.output.add(self._held)


class Reader:
    """Reads a program's streams."""

    def __init__(self, order: Order) -> None:
        key = order.keys[STDERR]
        self._order = order
        self._stdout = _Channel("", order.keys[STDOUT])
        self._stderr = _Channel(
            rf"{key}=([0-9]{{1,10}})\n|(?={key}:)", rf"{key}:([a-z0-9]{{1,16}}):([0-9a-f]{{64}})\n"
        )
        self.channels = {STDOUT: self._stdout, STDERR: self._stderr}
        self.begun = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The pid of what runs the program; None until it has begun."""
        found = self._stderr.opened and self._stderr.opened[1]
        return int(found) if found else None

    @property
    def how(self) -> str:
        """The exit status, or why there is none; empty where that is not known."""
        ended = self._stderr.ended
        if not ended or not self._order.has_signed(ended.status, ended.signature):
            return ""
        return ended.status.removesuffix(_MAY_FOLLOW)

    @property
    def may_another_follow(self) -> bool:
        """Whether another program may be run on the same streams: nobody else holds them."""
        ended = self._stderr.ended
        return bool(self.how) and ended is not None and ended.status.endswith(_MAY_FOLLOW)

    async def read(self, stream: ProgramStream) -> None:
        """Reads until both streams say that the program has ended."""
        while not (self._stdout.ended and self._stderr.ended):
            piece = await stream.read()
            if piece is None:
                break
            self.channels[piece[0]].feed(piece[1])
            if self._stderr.opened:
                self.begun.set()

    def cut_off(self) -> None:
        """Ends the reading, whether the last words have come or not."""
        self._stdout.cut_off()
        self._stderr.cut_off()
