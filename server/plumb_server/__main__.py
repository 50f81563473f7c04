"""`python -m plumb_server`: serves until it is told to stop."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pydantic

from plumb_backends.errors import JournalUnavailable
from plumb_backends.simulated.cassette import BadCassette
from plumb_backends.simulated.prompting import BadPrompt
from plumb_server.app import run_server
from plumb_server.listening import CannotListen
from plumb_server.logs import configure_logs
from plumb_server.settings import Settings

Beside: TypeAlias = Callable[[Settings, str], AbstractAsyncContextManager[str]]
"""What runs beside the server for as long as it does: it is told the settings and an address of its
own, and gives a line to print."""


async def serve(settings: Settings, beside: Beside | None = None) -> None:
    """Serves until SIGINT or SIGTERM.

    Prints one line, `plumb listens on HOST:PORT`, to standard output when it is ready, and one of
    what runs beside it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        private = f"unix:{stack.enter_context(TemporaryDirectory(prefix='plumb-'))}/grpc"
        running = await stack.enter_async_context(
            run_server(settings, private_address=private if beside else "")
        )
        says = await stack.enter_async_context(beside(settings, private)) if beside else ""
        print(f"plumb listens on {running.address}", flush=True)  # noqa: T201 - the one line that others wait for
        if says:
            print(says, flush=True)  # noqa: T201 - see above
        await stop.wait()


def main(beside: Beside | None = None, **overrides: Any) -> int:
    """Reads the settings and serves. Returns the exit status.

    Args:
        beside: What runs beside the server; see `serve`.
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
        _run(serve(settings, beside))
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
    sys.exit(main())
