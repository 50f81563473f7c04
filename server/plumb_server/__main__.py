"""`python -m plumb_server`: serves until it is told to stop.

With `--until-eof` also until its standard input ends: whoever started it for himself holds the
other end, and even `kill -9` lets go of that.
"""

import asyncio
import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeAlias

import pydantic

from plumb_backends.errors import JournalUnavailable
from plumb_backends.simulated.cassette import BadCassette
from plumb_backends.simulated.prompting import BadPrompt
from plumb_server.app import run_server
from plumb_server.listening import CannotListen
from plumb_server.logs import configure_logs
from plumb_server.private_folder import private_folder
from plumb_server.settings import Settings

Beside: TypeAlias = Callable[[Settings, str], AbstractAsyncContextManager[str]]
"""What runs beside the server for as long as it does: it is told the settings and an address of its
own, and gives a line to print."""


async def serve(
    settings: Settings, beside: Beside | None = None, *, until_eof: bool = False
) -> None:
    """Serves until SIGINT or SIGTERM; with `until_eof` also until standard input ends.

    Prints one line, `plumb listens on HOST:PORT`, to standard output when it is ready, and one of
    what runs beside it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        wait = functools.partial(_wait_for_eof, loop, stop)
        threading.Thread(target=wait, name="plumb-eof", daemon=True).start()
    async with AsyncExitStack() as stack:
        private = ""
        if beside:
            folder, _ = stack.enter_context(private_folder())
            private = f"unix:{folder}/grpc"
        running = await stack.enter_async_context(run_server(settings, private_address=private))
        says = await stack.enter_async_context(beside(settings, private)) if beside else ""
        print(f"plumb listens on {running.address}", flush=True)  # noqa: T201 - the one line that others wait for
        if says:
            print(says, flush=True)  # noqa: T201 - see above
        await stop.wait()


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Reads to the end, in a thread of its own: no loop can wait for a file."""
    while sys.stdin.buffer.read(4096):
        pass
    with contextlib.suppress(RuntimeError):  # it stopped already, for another reason
        loop.call_soon_threadsafe(stop.set)


def main(beside: Beside | None = None, *, until_eof: bool = False, **overrides: Any) -> int:
    """Reads the settings and serves. Returns the exit status.

    Args:
        beside: What runs beside the server; see `serve`.
        until_eof: Whether it ends with its standard input; see `serve`.
        **overrides: Settings that are not to be read; None for those that are.
    """
    try:
        settings = Settings(
            **{name: value for name, value in overrides.items() if value is not None}
        )
    except pydantic.ValidationError as error:
        sys.stderr.write(explain(error))
        return 2
    configure_logs(settings.log_format, settings.log_level)
    try:
        _run(serve(settings, beside, until_eof=until_eof))
    except (CannotListen, JournalUnavailable, BadPrompt, BadCassette) as error:
        sys.stderr.write(f"plumb: {error}\n")
        return 2
    return 0


def _run(main_coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(main_coroutine)
    else:
        uvloop.run(main_coroutine)


_FIELDS = {
    name: field
    for key, field in Settings.model_fields.items()
    for name in (key, *getattr(field.validation_alias, "choices", ()))
}


def explain(error: pydantic.ValidationError, prefix: str = "PLUMB_") -> str:
    """One line for each setting that is wrong; `prefix` is that of their variables."""
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        variable = name if name.isupper() else f"{prefix}{name.upper()}"  # it has its own, or ours
        field = _FIELDS.get(name)
        is_secret = field is not None and not field.repr
        value = "not what it must be" if is_secret else repr(problem["input"])
        says = problem["msg"].removeprefix("Value error, ")
        lines.append(f"plumb: {variable} is {value}: {says}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main(until_eof="--until-eof" in sys.argv[1:]))
