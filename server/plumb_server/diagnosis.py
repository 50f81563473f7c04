"""What a server stands on, whether it works, and how to mend what does not."""

import dataclasses
import enum
import platform
from collections.abc import AsyncIterator

from plumb_backends.errors import ModelError, ModelUnauthorized, PlumbError
from plumb_backends.real.engine import GUEST_IMAGE, Engine, open_engine
from plumb_backends.real.hardening import ORIGIN_LABEL
from plumb_backends.real.sql.servers import Servers
from plumb_backends.simulated.asking import Endpoint
from plumb_server.settings import Settings


class State(enum.Enum):
    """Whether something works."""

    WELL = "well"
    MISSING = "missing"
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is.
        state: Whether it works; missing where most things work without.
        summary: What it is, or what is wrong.
        mend: How to mend it; empty where nothing is to be done.
    """

    subject: str
    state: State
    summary: str
    mend: str = ""


async def diagnose(settings: Settings) -> list[Finding]:
    """Looks at everything; takes seconds where something does not answer."""
    return [
        Finding("python", State.WELL, platform.python_version()),
        *[finding async for finding in _engine(settings)],
        *[finding async for finding in _mysql(settings)],
        await _model(settings),
    ]


async def _engine(settings: Settings) -> AsyncIterator[Finding]:
    async with open_engine(address=settings.engine) as engine:
        try:
            async for finding in _of_engine(engine, settings):
                yield finding
        except PlumbError as error:
            yield Finding("engine", State.BROKEN, str(error), "make engine, or set DOCKER_HOST")


async def _of_engine(engine: Engine, settings: Settings) -> AsyncIterator[Finding]:
    about = await engine.describe()
    says = ", ".join(f"{key} {value}" for key, value in about.items())
    yield Finding("engine", State.WELL, says)
    if settings.shell_runtime and settings.shell_runtime not in about["runtimes"].split(", "):
        yield Finding(
            "runtime",
            State.BROKEN,
            f"the engine does not know {settings.shell_runtime}",
            "register it there, or unset PLUMB_SHELL_RUNTIME",
        )
    yield await _image(engine, "guest", GUEST_IMAGE)
    yield await _image(engine, "shell", settings.shell_image)
    if not settings.mysql_url:
        yield await _image(engine, "mysql", settings.mysql_image)
    left = await engine.count_orphans()
    state, mend = (State.MISSING, "plumb gc") if left else (State.WELL, "")
    yield Finding("left behind", state, f"{left} sandboxes without an owner", mend)


async def _image(engine: Engine, kind: str, image: str) -> Finding:
    labels = await engine.image_labels(image)
    if labels is None:
        return Finding(
            f"{kind} image",
            State.BROKEN,
            f"{image} is not there",
            "make images" + ("" if kind == "guest" else f", or set PLUMB_{kind.upper()}_IMAGE"),
        )
    origin = labels.get(ORIGIN_LABEL, "")
    return Finding(f"{kind} image", State.WELL, f"{image} from {origin}" if origin else image)


async def _mysql(settings: Settings) -> AsyncIterator[Finding]:
    """Somebody else's server; one of plumb's own is only started when it is needed."""
    if not settings.mysql_url:
        return
    async with open_engine(address=settings.engine) as engine:
        servers = Servers(engine, settings.real_mysql().servers)
        try:
            server = await servers.shared()
        except PlumbError as error:
            yield Finding("mysql", State.BROKEN, str(error), "mend PLUMB_MYSQL_URL, or unset it")
        else:
            at = f"{server.access.host}:{server.access.port}"
            yield Finding("mysql", State.WELL, f"MySQL {server.version} at {at}")
        finally:
            await servers.close()


async def _model(settings: Settings) -> Finding:
    """The model endpoint; real sessions do not need one."""
    endpoint = Endpoint(settings.simulator())
    try:
        endpoint.check_configured()
        await endpoint.check_health()
    except ModelUnauthorized:
        return Finding(
            "model",
            State.MISSING,
            "no endpoint for simulators",
            "set OPENAI_API_KEY or OPENAI_BASE_URL",
        )
    except ModelError as error:
        return Finding("model", State.BROKEN, str(error))
    finally:
        await endpoint.close()
    return Finding("model", State.WELL, settings.simulator_base_url or "OpenAI's endpoint answers")
