"""Finds the kinds and the backends: one file each, found by looking into their folders.

A kind is a module of `kinds/` with a `KIND`; a backend is a module with a `BACKEND`, or with
`BACKENDS` where it serves several kinds. Adding one is adding a file.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, runtime_checkable

import structlog

import plumb_backends
from plumb_backends import kinds, real, simulated
from plumb_backends.environment import Environment, Program, ProgramResult
from plumb_backends.errors import SandboxUnavailable, UnknownBackend, UnknownKind, Unsupported
from plumb_backends.grounding import GeneratedGrounding, Grounding, GroundingWish
from plumb_backends.kind import Kind
from plumb_backends.workers import open_workers

_log = structlog.get_logger(__name__)
_BACKEND_FOLDERS = (real, simulated)
_PAIRED = f"{plumb_backends.__name__}.paired"  # is neither real nor simulated


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a session asks of a backend.

    Attributes:
        kind: The kind's name.
        backend: The backend's name.
        session_id: Unique; labels everything that the session gets.
        grounding: What makes its first state.
        options: The kind's own options; None for its defaults.
        backend_options: The backend's own options; None for its defaults.
        truth: A real environment that was just grounded in the same way, so that it need not be
            done again.
    """

    kind: str
    backend: str
    session_id: str
    grounding: Grounding
    options: object | None = None
    backend_options: object | None = None
    truth: "Grounded | None" = None


@dataclasses.dataclass(frozen=True, slots=True)
class Grounded:
    """A new environment.

    Attributes:
        environment: The environment.
        init_results: What its init scripts did.
        told: What its simulator was told of the world; empty where nothing was, or it is real.
    """

    environment: Environment
    init_results: Sequence[ProgramResult]
    told: str = ""


class Provider(Protocol):
    """A backend that is up: it makes environments, and can say whether it could."""

    async def create(self, spec: Spec) -> Grounded:
        """Makes an environment and grounds it; leaves nothing behind when it fails."""
        ...

    async def check(self) -> None:
        """Asks what the backend stands on whether it answers.

        Raises:
            SandboxUnavailable: It does not.
        """
        ...

    async def sweep(self) -> int:
        """Removes what has outlived its session; returns how many things that were."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What can stand behind a kind.

    Attributes:
        kind: The kind's name.
        name: The backend's name.
        open: Brings the backend up, from the settings of its own (see `settings_type`) and all
            backends, for one that stands on others; they are up when it is first asked to create.
            Backends with the same `open` share what it gives.
        settings_type: A frozen dataclass with defaults.
        can_exec: Whether its environments are `Executes`.
        can_interrupt: Whether they are `Interruptible`.
        can_stream: Whether output appears before the action has ended.
        has_state: Whether its environments have a state: init scripts are run, and probes answered.
    """

    kind: str
    name: str
    open: Callable[[Any, "Backends"], AbstractAsyncContextManager[Provider]]
    settings_type: type
    can_exec: bool = False
    can_interrupt: bool = False
    can_stream: bool = False
    has_state: bool = True


def _modules(folder: Any) -> Iterator[Any]:
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name in getattr(folder, "NO_BACKENDS_IN", ()):
            continue
        yield importlib.import_module(f"{folder.__name__}.{module.name}")


@functools.cache
def all_kinds() -> dict[str, Kind]:
    """Every kind, by name, sorted."""
    found = [module.KIND for module in _modules(kinds) if hasattr(module, "KIND")]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: str(kind.name))}


@functools.cache
def _found_backends() -> tuple[Backend, ...]:
    """Every backend; one that stands on others comes after them."""
    found: list[Backend] = []
    modules = [module for folder in _BACKEND_FOLDERS for module in _modules(folder)]
    for module in (*modules, importlib.import_module(_PAIRED)):
        found += getattr(module, "BACKENDS", ())
        found += [module.BACKEND] if hasattr(module, "BACKEND") else []
    return tuple(found)


@functools.cache
def all_backends() -> dict[tuple[str, str], Backend]:
    """Every backend, by (kind, name), sorted."""
    return {
        (backend.kind, backend.name): backend
        for backend in sorted(_found_backends(), key=lambda backend: (backend.kind, backend.name))
    }


@runtime_checkable
class Generates(Protocol):
    """A provider that can write groundings itself."""

    async def generate(self, wish: GroundingWish) -> GeneratedGrounding:
        """Writes init scripts that make a task solvable, and runs them."""
        ...


@runtime_checkable
class RunsApart(Protocol):
    """A provider that can run a program in a sandbox which holds nothing of any session."""

    async def run_apart(self, program: Program) -> ProgramResult:
        """Runs one program in a sandbox of its own, which is thrown away."""
        ...


class Backends:
    """The backends that are up. Made by `open_backends`."""

    def __init__(self, providers: dict[tuple[str, str], Provider]) -> None:
        self._providers = providers

    @property
    def _each(self) -> list[Provider]:
        return list({id(provider): provider for provider in self._providers.values()}.values())

    async def create(self, spec: Spec) -> Grounded:
        """Makes an environment.

        Raises:
            UnknownKind: There is no such kind.
            UnknownBackend: The kind has no such backend.
            PlumbError: Whatever the backend says; nothing is left behind.
        """
        return await self._provider(spec.kind, spec.backend).create(spec)

    async def generate(self, wish: GroundingWish) -> GeneratedGrounding:
        """Writes a grounding for a task, and runs it for real.

        Raises:
            UnknownKind: There is no such kind.
            Unsupported: Nobody here can write one for it.
            PlumbError: Whatever the model or the sandbox says; a task that could not be grounded
                is no error.
        """
        provider = self._provider(wish.kind, "simulated")
        if not isinstance(provider, Generates):
            raise Unsupported(f"nobody here writes groundings for kind {wish.kind!r}")
        return await provider.generate(wish)

    async def run_apart(self, program: Program) -> ProgramResult:
        """Runs one program in an empty sandbox of its own, without network.

        Raises:
            Unsupported: No backend here can.
            ImageMissing, LimitReached, SandboxUnavailable: There is no sandbox.
        """
        for provider in self._each:
            if isinstance(provider, RunsApart):
                return await provider.run_apart(program)
        raise Unsupported("no backend here runs programs in a sandbox of their own")

    async def check(self) -> None:
        """Asks all of them; raises SandboxUnavailable for the first that does not answer."""
        for provider in self._each:
            await provider.check()

    async def sweep(self) -> int:
        """Removes what has outlived its session, everywhere; what does not answer is logged."""
        return sum([await _swept(provider) for provider in self._each])

    def _provider(self, kind: str, backend: str) -> Provider:
        check_names(kind, backend)
        return self._providers[kind, backend]


async def _swept(provider: Provider) -> int:
    try:
        return await provider.sweep()
    except SandboxUnavailable as error:
        _log.warning("a backend was not swept", provider=type(provider).__name__, error=str(error))
        return 0


def check_names(kind: str, backend: str) -> None:
    """Checks that there is such a kind, with such a backend.

    Raises:
        UnknownKind: There is no such kind.
        UnknownBackend: The kind has no such backend.
    """
    if kind not in all_kinds():
        raise UnknownKind(f"there is no kind {kind!r}; use one of: {', '.join(all_kinds())}")
    if (kind, backend) not in all_backends():
        names = [name for of, name in all_backends() if of == kind]
        raise UnknownBackend(
            f"kind {kind!r} has no backend {backend!r}; use one of: {', '.join(names)}"
        )


@asynccontextmanager
async def open_backends(settings: Sequence[object] = ()) -> AsyncIterator[Backends]:
    """Brings every backend up, and down again at the end.

    Args:
        settings: The backends' own settings, found by their type; defaults where missing.
    """
    by_type = {type(value): value for value in settings}
    providers: dict[tuple[str, str], Provider] = {}
    backends = Backends(providers)
    opened: dict[object, Provider] = {}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(open_workers())
        for backend in _found_backends():  # and they go down in the other order
            if backend.open not in opened:
                own = by_type.get(backend.settings_type) or backend.settings_type()
                opened[backend.open] = await stack.enter_async_context(backend.open(own, backends))
            providers[backend.kind, backend.name] = opened[backend.open]
        yield backends
