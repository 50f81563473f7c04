"""A session's process: takes requests on its standard input until that ends.

Started by `worker`. It gets nothing of the server's, and when the server ends, it ends.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from plumb_backends.capped import Capped
from plumb_backends.children import end_with
from plumb_backends.kinds.mysql import Rendering
from plumb_backends.simulated.sqlite.clock import Clock
from plumb_backends.simulated.sqlite.confinement import (
    confine_process,
    limit_processor,
)
from plumb_backends.simulated.sqlite.messages import (
    LENGTH,
    MAX_TEXT_BYTES,
    Begin,
    Probe,
    Request,
    Run,
    pack,
    read_request,
)
from plumb_backends.simulated.sqlite.results import OUT_OF_MEMORY
from plumb_backends.simulated.sqlite.world import World, errno_of, render
from plumb_backends.sql.rendering import Shown


class _Server:
    """Answers requests; has at most one database."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._world = World("", self._clock)
        self._rendering = Rendering.CLIENT

    def warm_up(self) -> None:
        """Does each thing once, so that nothing is left to be imported."""
        self.answer(
            Begin(
                database="a",
                rendering=Rendering.CLIENT,
                scripts=("CREATE TABLE a (a INT)", "SELEC", "SELECT nope"),
                script_seconds=60,
            )
        )
        for rendering in Rendering:
            self._rendering = rendering
            self.answer(Run(action=b"SELECT 1, 1.5, 'a', NULL, X'00'; DROP", seconds=60))
        self.answer(Probe(suite="rows", seconds=60))

    def answer(self, request: Request) -> Mapping[str, object]:
        match request:
            case Begin():
                self._begin(request)
                return {}
            case Run():
                return self._run(request)
            case Probe():
                limit_processor(request.seconds)
                return {"facts": self._world.facts(request.suite, request.seconds)}

    def _begin(self, request: Begin) -> None:
        self._world.close()
        self._world = World(request.database, self._clock)
        self._rendering = request.rendering
        for script in request.scripts:
            limit_processor(request.script_seconds)
            self._world.run(script.encode(), request.script_seconds)

    def _run(self, request: Run) -> Mapping[str, object]:
        limit_processor(request.seconds)
        try:
            shown = self._world.run(request.action, request.seconds)
            text = self._text_of(shown)
        except MemoryError:
            shown = [Shown(OUT_OF_MEMORY)]
            text = self._text_of(shown)
        return {"text": text, "errno": errno_of(shown), "timed_out": self._clock.is_over}

    def _text_of(self, shown: Sequence[Shown]) -> str:
        text = Capped(MAX_TEXT_BYTES)
        text.add(render(shown, self._rendering).encode(errors="replace"))
        return text.text()


def _serve(server: _Server, requests: BinaryIO, answers: BinaryIO) -> None:
    while head := requests.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        answers.write(pack(server.answer(read_request(requests.read(length)))))
        answers.flush()


def main() -> None:
    """Serves until the server closes the pipe."""
    end_with(parent=int(sys.argv[1]))
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of all it cannot translate
    server = _Server()
    server.warm_up()
    confine_process()
    _serve(server, sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)


if __name__ == "__main__":
    main()
