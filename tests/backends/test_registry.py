"""What kinds and backends there are, and what is said about those there are not."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import structlog.testing

from plumb_backends.environment import Environment, Executes, Interruptible
from plumb_backends.errors import InvalidInput, SandboxUnavailable, UnknownBackend, UnknownKind
from plumb_backends.kind import Kind
from plumb_backends.kinds.shell import MAX_TEXT_BYTES, MIN_TEXT_BYTES, ShellOptions
from plumb_backends.real.shell import RealShellProvider, RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import (
    Backend,
    Backends,
    Provider,
    all_backends,
    all_kinds,
    check_names,
    open_backends,
)


def test_the_kind_shell_and_its_real_backend_are_found() -> None:
    assert "shell" in all_kinds()
    assert ("shell", "real") in all_backends()


@pytest.mark.parametrize("name", all_kinds())
def test_a_kind_is_registered_under_its_name(name: str) -> None:
    kind = all_kinds()[name]
    assert isinstance(kind, Kind)
    assert kind.name == name
    assert kind.summary.endswith(".")
    assert list(kind.probe_suites) == sorted(kind.probe_suites)


@pytest.mark.parametrize("key", all_backends())
def test_a_backend_is_registered_under_its_names_with_settings_that_have_defaults(
    key: tuple[str, str],
) -> None:
    backend = all_backends()[key]
    assert isinstance(backend, Backend)
    assert (backend.kind, backend.name) == key
    assert backend.kind in all_kinds()
    assert dataclasses.is_dataclass(backend.settings_type())
    assert backend.settings_type.__dataclass_params__.frozen  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", [Environment, Executes, Interruptible])
def test_the_real_shell_has_every_method_of_its_protocols(protocol: type) -> None:
    _has_methods_of(RealShell, protocol)


def test_the_real_shell_s_provider_has_every_method_of_its_protocol() -> None:
    _has_methods_of(RealShellProvider, Provider)


def _has_methods_of(cls: type, protocol: type) -> None:
    asked = {name: value for name, value in vars(protocol).items() if inspect.isfunction(value)
             and not name.startswith("_")}  # fmt: skip
    assert asked
    for name, value in asked.items():
        given = getattr(cls, name)
        assert inspect.iscoroutinefunction(given) == inspect.iscoroutinefunction(value), name
        assert list(inspect.signature(given).parameters) == list(
            inspect.signature(value).parameters
        ), name


def test_an_unknown_kind_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownKind, match=r"there is no kind 'nope'; use one of: .*shell"):
        check_names("nope", "real")


def test_an_unknown_backend_is_answered_with_those_of_the_kind() -> None:
    with pytest.raises(
        UnknownBackend, match=r"kind 'shell' has no backend 'nope'; use one of: .*real"
    ):
        check_names("shell", "nope")


class _Unswept:
    """A provider whose sweep finds nobody to ask."""

    async def sweep(self) -> int:
        raise SandboxUnavailable("nobody answers")


class _Swept:
    """A provider whose sweep removes something."""

    async def sweep(self) -> int:
        return 2


async def test_a_backend_that_cannot_be_swept_does_not_stop_the_others() -> None:
    providers = {("a", "real"): _Unswept(), ("b", "real"): _Swept()}
    with structlog.testing.capture_logs() as logs:
        assert await Backends(providers).sweep() == 2  # type: ignore[arg-type]
    assert [(log["provider"], log["error"]) for log in logs] == [("_Unswept", "nobody answers")]


async def test_backends_come_up_without_an_engine_and_say_that_there_is_none() -> None:
    settings = RealShellSettings(engine="unix:///nonexistent.sock")
    async with open_backends([settings]) as backends:
        with pytest.raises(SandboxUnavailable, match="start it, and see `plumb doctor`"):
            await backends.check()


@pytest.mark.parametrize("name", ["a", "web-1", "A1", "x" * 63])
def test_a_good_host_name_is_accepted(name: str) -> None:
    assert ShellOptions(hostname=name).hostname == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a.b", "x" * 64, "ü", "a\n", "a/b"])
def test_a_bad_host_name_is_refused_with_the_mend(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"shell.hostname is .*use 1 to 63 letters"):
        ShellOptions(hostname=name)


@pytest.mark.parametrize("size", [0, -1, MIN_TEXT_BYTES - 1, MAX_TEXT_BYTES + 1])
def test_a_bad_size_of_the_text_is_refused_with_its_range(size: int) -> None:
    with pytest.raises(InvalidInput, match=f"is {size}; use {MIN_TEXT_BYTES} to {MAX_TEXT_BYTES}"):
        ShellOptions(max_text_bytes=size)
