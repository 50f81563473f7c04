"""`plumb doctor`: what works here, and how to mend what does not, on one screen."""

import argparse
import asyncio
import dataclasses
import platform
from collections.abc import AsyncIterator

import plumb_client
from plumb_backends.errors import ModelError, ModelUnauthorized, PlumbError
from plumb_backends.real.engine import Engine, open_engine
from plumb_backends.real.hardening import ORIGIN_LABEL
from plumb_backends.real.sql.server import Servers
from plumb_backends.simulated.asking import Endpoint
from plumb_cli.settings import read_settings
from plumb_client import aio
from plumb_server.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        is_well: Whether it works; None if that does not matter much.
        says: What it is, or what is wrong.
        mend: How to mend it; empty where nothing is to be done.
    """

    what: str
    is_well: bool | None
    says: str
    mend: str = ""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("doctor", help="what works here, and how to mend what does not")
    parser.add_argument("--server", default=aio.DEFAULT_ADDRESS, metavar="HOST:PORT")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Looks and prints. Returns 1 if something that is needed does not work."""
    findings = asyncio.run(_look(read_settings(), arguments.server))
    for finding in findings:
        sign = {True: "ok  ", False: "FAIL", None: "-   "}[finding.is_well]
        print(f"{sign} {finding.what:<12} {finding.says}")
        if finding.mend:
            print(f"     {'':<12} -> {finding.mend}")
    return 1 if any(finding.is_well is False for finding in findings) else 0


async def _look(settings: Settings, server: str) -> list[Finding]:
    python = Finding("python", True, platform.python_version())
    return [
        python,
        *[finding async for finding in _engine(settings)],
        *[finding async for finding in _mysql(settings)],
        await _model(settings),
        await _server(server),
    ]


async def _engine(settings: Settings) -> AsyncIterator[Finding]:
    async with open_engine(address=settings.engine) as engine:
        try:
            about = await engine.describe()
        except PlumbError as error:
            yield Finding("engine", False, str(error), "make engine, or set DOCKER_HOST")
            return
        yield Finding("engine", True, ", ".join(f"{key} {value}" for key, value in about.items()))
        if settings.shell_runtime and settings.shell_runtime not in about["runtimes"].split(", "):
            yield Finding("runtime", False, f"{settings.shell_runtime} is not known to the engine",
                          "register it there, or unset PLUMB_SHELL_RUNTIME")  # fmt: skip
        yield await _image(engine, "shell", settings.shell_image)
        if not settings.mysql_url:
            yield await _image(engine, "mysql", settings.mysql_image)
        left = await engine.count_orphans()
        yield Finding("left behind", None if left else True, f"{left} sandboxes without an owner",
                      "plumb gc" if left else "")  # fmt: skip


async def _image(engine: Engine, kind: str, image: str) -> Finding:
    labels = await engine.image_labels(image)
    if labels is None:
        return Finding(f"{kind} image", False, f"{image} is not there",
                       f"make images, or set PLUMB_{kind.upper()}_IMAGE")  # fmt: skip
    origin = labels.get(ORIGIN_LABEL, "")
    return Finding(f"{kind} image", True, f"{image} from {origin}" if origin else image)


async def _mysql(settings: Settings) -> AsyncIterator[Finding]:
    """Somebody else's server; one of plumb's own is only started when it is needed."""
    if not settings.mysql_url:
        return
    async with open_engine(address=settings.engine) as engine:
        servers = Servers(engine, settings.real_mysql().servers)
        try:
            server = await servers.shared()
        except PlumbError as error:
            yield Finding("mysql", False, str(error), "mend PLUMB_MYSQL_URL, or unset it")
        else:
            at = f"{server.access.host}:{server.access.port}"
            yield Finding("mysql", True, f"MySQL {server.version} at {at}")
        finally:
            await servers.close()


async def _model(settings: Settings) -> Finding:
    """The model endpoint; real sessions do not need one."""
    endpoint = Endpoint(settings.simulator())
    try:
        endpoint.check_configured()
        await endpoint.check_health()
    except ModelUnauthorized:
        return Finding("model", None, "no endpoint for simulators",
                       "set OPENAI_API_KEY or OPENAI_BASE_URL")  # fmt: skip
    except ModelError as error:
        return Finding("model", False, str(error))
    finally:
        await endpoint.close()
    return Finding("model", True, settings.simulator_base_url or "OpenAI's endpoint answers")


async def _server(address: str) -> Finding:
    async with aio.connect(address) as plumb:
        try:
            async with asyncio.timeout(5):
                kinds, sessions = await plumb.kinds(), await plumb.sessions()
        except (plumb_client.PlumbError, TimeoutError):
            return Finding("server", None, f"none at {address}", "plumb serve")
    names = ", ".join(f"{kind.name}/{backend.name}" for kind in kinds for backend in kind.backends)
    return Finding("server", True, f"{address}: {names}; {len(sessions)} sessions")
