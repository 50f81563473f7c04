"""Sessions from a warm pool: fast because their sandbox is there, and in nothing else different."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import docker
import pytest
import pytest_asyncio

from plumb_backends.environment import Action
from plumb_backends.errors import ImageMissing
from plumb_backends.kinds.shell import ShellOptions
from plumb_backends.real import owner
from plumb_backends.real.engine import ProgramStream, Sandbox, TerminalStream
from plumb_backends.real.hardening import EXPIRY_LABEL, OWNER_LABEL, SESSION_LABEL, Limits
from plumb_backends.real.pool import MOST_AGE, PoolSettings
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.real.watcher import Nobody
from plumb_backends.registry import Backends, open_backends

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMAGE = "plumb-shell:latest"
SIZE = 2


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in a pool may take its time to show that it lives, and a prompt to come whole."""
    monkeypatch.setattr("plumb_backends.real.pool._TRY_WITHIN", 60.0)
    monkeypatch.setattr("plumb_backends.real.terminal._ANSWER_WITHIN", 10.0)


SOON = 30.0
LIMITS = Limits(memory_bytes=256 * 1024**2, lifetime=1000)


class Watcher(Nobody):
    """Remembers what the pool tells."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: list[str] = []
        self.has_failed = asyncio.Event()
        self.held = 0

    def pool_holds(self, pool: str, count: int) -> None:
        if pool == "shell":
            self.held = count

    def pool_asked(self, pool: str, outcome: str) -> None:
        self.asked.append(outcome)

    def pool_fails(self, pool: str, why: str) -> None:
        self.failures.append(why)
        self.has_failed.set()

    async def holds(self, count: int) -> None:
        """Waits until the pool holds so many."""
        async with asyncio.timeout(SOON):
            while self.held != count:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def watcher() -> Watcher:
    return Watcher()


@asynccontextmanager
async def pooled(watcher: Watcher, size: int = SIZE) -> AsyncIterator[Backends]:
    settings = RealShellSettings(
        image=IMAGE, limits=LIMITS, pool=PoolSettings(size=size), watcher=watcher
    )
    async with open_backends([settings]) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_pool(watcher: Watcher) -> AsyncIterator[Backends]:
    async with pooled(watcher) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def pool(module_pool: Backends, watcher: Watcher) -> Backends:
    """Backends whose pool is full."""
    await watcher.holds(SIZE)
    watcher.asked.clear()
    return module_pool


def sandbox_id(shell: RealShell) -> str:
    assert shell._sandbox is not None
    return shell._sandbox.id


def in_pool() -> dict[str, dict[str, str]]:
    """The containers of this process that wait in a pool: their labels, by id."""
    with closing(docker.from_env()) as engine:
        found = engine.api.containers(
            all=True, filters={"label": [f"{OWNER_LABEL}={owner.this_process()}"]}
        )
    return {
        one["Id"]: one["Labels"]
        for one in found
        if one["Names"][0].startswith("/plumb-pool-") and one["State"] == "running"
    }


def exists(identifier: str) -> bool:
    with closing(docker.from_env()) as engine:
        found = engine.api.containers(all=True, filters={"id": identifier})
    return any(one["State"] != "removing" for one in found)


def name_of(identifier: str) -> str:
    with closing(docker.from_env()) as engine:
        return str(engine.containers.get(identifier).name)


def remove(identifier: str) -> None:
    with closing(docker.from_env()) as engine:
        engine.api.remove_container(identifier, force=True)


async def say(shell: RealShell, action: str) -> str:
    return (await shell.step(Action(action.encode()))).text


# What a session from the pool is.


async def test_a_session_takes_a_sandbox_that_was_there_and_that_nobody_had(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    before = in_pool()
    shells = [await make_shell(backends=pool) for _ in range(SIZE)]
    taken = {sandbox_id(shell) for shell in shells}
    assert taken == set(before)
    assert watcher.asked == ["hit"] * SIZE
    for shell in shells:
        await shell.close()
    await watcher.holds(SIZE)
    assert not taken & set(in_pool())
    assert not any(map(exists, taken))  # used ones are gone, and not in the pool again


async def test_a_warm_sandbox_is_labelled_as_all_are_and_outlives_its_time_in_the_pool(
    pool: Backends,
) -> None:
    for labels in in_pool().values():
        assert labels[SESSION_LABEL] == "pool"
        lives = float(labels[EXPIRY_LABEL].partition("/")[0]) - time.time()
        assert lives > LIMITS.lifetime + MOST_AGE / 2


async def test_the_container_is_named_after_the_session_that_takes_it(
    pool: Backends, make_shell: MakeShell
) -> None:
    shell = await make_shell(backends=pool)
    session_id = shell._spec.session_id
    assert session_id != "pool"
    assert name_of(sandbox_id(shell)).startswith(f"plumb-{session_id}-")


HIDDEN = "SECONDS|BASHPID|S?RANDOM|EPOCH|COMP_|__plumb|133;"
"""Variables that differ between any two shells, or hold our marks."""

LOOKS = [
    "pwd; ((SECONDS < 30)); echo $? $SHLVL $$ $PPID $- $0 $? $_; tty; history; jobs",
    # The engine itself gives one process in a dozen another limit of open files.
    "env; shopt; set -o; alias; ulimit -a | grep -v files; stty -a; trap",
    # Into a file: beside it in a pipe, ps may see programs that have not begun to be themselves.
    "ps -eo pid,ppid,pgid,sid,tpgid,tty,args >/srv/ps; sed 's/^ *[0-9]*//' /srv/ps | sort",
    "rm /srv/ps",
    "ls -l /proc/$$/fd | sed 's/.* -> //; s/[0-9]*]/N]/'",
    "ls -A / /dev; ls -lA --time-style=+ /root /tmp /etc/hosts /etc/hostname",
    "cat /etc/hosts; hostname; id; umask; df -P / | tail -1 | cut -d' ' -f1",
    "cat /proc/1/cmdline /proc/$$/cmdline /proc/$$/environ | tr '\\0' '\\n'",
    f"declare -p | grep -vE '{HIDDEN}' | cut -c1-200",
    "nope; echo $?; false",
    "echo $?",
]


@pytest.mark.parametrize(
    "init",
    [(), ("echo 'alias greet=\"echo hello\"' >> ~/.bashrc", "ps -eo args > /srv/processes")],
    ids=["bare", "with scripts"],
)
async def test_an_agent_cannot_tell_it_from_one_that_was_made_cold(
    pool: Backends, make_shell: MakeShell, init: Sequence[str]
) -> None:
    looks = [*LOOKS, *(["type greet; cat /srv/processes"] if init else [])]
    seen = []
    async with open_backends([RealShellSettings(image=IMAGE, limits=_same_limits())]) as unpooled:
        for backends in (pool, unpooled):
            shell = await make_shell(backends=backends, init=init)
            answers = [await shell.step(Action(look.encode())) for look in looks]
            seen.append(
                [
                    *((_numbered(one.text), one.exit_code, one.ending) for one in answers),
                    _numbered(answers[0].raw.decode()),
                    (await shell.capture()).entries,
                    (await shell.probe("environment")).facts,
                    (await shell.probe("cwd")).facts,
                ]
            )
            await shell.close()
    warm, cold = seen
    for of_warm, of_cold in zip(warm, cold, strict=True):
        assert of_warm == of_cold


def _same_limits() -> Limits:
    return Limits(memory_bytes=LIMITS.memory_bytes, lifetime=LIMITS.lifetime + MOST_AGE)


def _numbered(text: str) -> str:
    """A text in which the numbers of processes, from 5 on, all look alike."""
    return re.sub(r"(?<![\w.])([5-9]|[1-9]\d)(?![\w.])", "N", re.sub(" +", " ", text))


async def test_two_sessions_from_the_pool_have_different_keys(
    pool: Backends, make_shell: MakeShell
) -> None:
    keys = set()
    for shell in [await make_shell(backends=pool), await make_shell(backends=pool)]:
        assert shell._shell is not None
        keys.add(shell._shell.terminal._key)
    assert len(keys) == 2


async def test_init_scripts_do_not_see_the_key_nor_a_shell_that_waits(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' > /srv/seen; ls /dev/pts >> /srv/seen"
    shell = await make_shell(backends=pool, init=[script])
    assert watcher.asked == ["hit"]
    seen = await say(shell, "cat /srv/seen")
    assert "read -rs key" not in seen
    assert "133;" not in seen
    assert "rcfile" not in seen


async def test_the_engine_starts_nothing_for_the_init_scripts_of_a_session_from_the_pool(
    pool: Backends, watcher: Watcher, make_shell: MakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    open_program, open_terminal = Sandbox.open_program, Sandbox.open_terminal

    async def note_program(self: Sandbox, argv: Sequence[str], *, user: str) -> ProgramStream:
        started.append(self.id)
        return await open_program(self, argv, user=user)

    async def note_terminal(
        self: Sandbox, argv: Sequence[str], *, env: Mapping[str, str]
    ) -> TerminalStream:
        started.append(self.id)
        return await open_terminal(self, argv, env=env)

    monkeypatch.setattr(Sandbox, "open_program", note_program)
    monkeypatch.setattr(Sandbox, "open_terminal", note_terminal)
    shell = await make_shell(backends=pool, init=["echo 1 > /srv/n", "echo 2 >> /srv/n", "true"])
    assert watcher.asked == ["hit"]
    assert sandbox_id(shell) not in started
    assert await say(shell, "cat /srv/n; tty") == "1\n2\n/dev/pts/0\n"


async def test_a_reset_takes_a_new_sandbox_from_the_pool(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    shell = await make_shell(backends=pool)
    first = sandbox_id(shell)
    await say(shell, "touch /srv/mark; cd /tmp; x=1")
    await watcher.holds(SIZE)
    await shell.reset()
    assert watcher.asked == ["hit", "hit"]
    assert sandbox_id(shell) != first
    assert not exists(first)
    assert await say(shell, "ls /srv; pwd; echo [$x]") == "/root\n[]\n"


# What is not of the pool.


@pytest.mark.parametrize(
    "options", [ShellOptions(hostname="elsewhere"), ShellOptions(image="plumb-shell")]
)
async def test_a_session_that_wants_something_else_gets_a_sandbox_of_its_own(
    pool: Backends, watcher: Watcher, make_shell: MakeShell, options: ShellOptions
) -> None:
    before = set(in_pool())
    shell = await make_shell(backends=pool, options=options)
    assert watcher.asked == ["unfit"]
    assert sandbox_id(shell) not in before
    assert await say(shell, "hostname") == f"{options.hostname}\n"


async def test_an_image_that_is_missing_is_an_error_as_ever(
    pool: Backends, make_shell: MakeShell
) -> None:
    with pytest.raises(ImageMissing):
        await make_shell(backends=pool, options=ShellOptions(image="plumb-none:latest"))


async def test_a_dumb_terminal_has_a_warm_sandbox_and_a_terminal_of_its_own(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    shell = await make_shell(backends=pool, options=ShellOptions(dumb_terminal=True))
    assert watcher.asked == ["hit"]
    assert await say(shell, "echo $TERM; tty") == "dumb\n/dev/pts/0\n"


async def test_more_sessions_than_the_pool_holds_are_made_all_the_same(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    shells = await asyncio.gather(*(make_shell(backends=pool) for _ in range(SIZE + 3)))
    assert len({sandbox_id(shell) for shell in shells}) == SIZE + 3
    assert watcher.asked.count("hit") >= SIZE
    assert watcher.asked.count("empty") >= 1
    for number, shell in enumerate(shells):
        assert await say(shell, f"echo {number}") == f"{number}\n"


# What dies in the pool.


async def test_a_sandbox_that_was_removed_behind_the_pool_s_back_is_never_given_away(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    first, second = in_pool()
    remove(first)
    shells = [await make_shell(backends=pool) for _ in range(SIZE)]
    assert first not in {sandbox_id(shell) for shell in shells}
    assert second in {sandbox_id(shell) for shell in shells}
    for shell in shells:
        assert await say(shell, "echo here") == "here\n"
    await watcher.holds(SIZE)


async def test_where_all_were_removed_a_session_is_made_cold(
    pool: Backends, watcher: Watcher, make_shell: MakeShell
) -> None:
    gone = set(in_pool())
    for identifier in gone:
        remove(identifier)
    shell = await make_shell(backends=pool, init=["echo 42 > /srv/n"])
    assert sandbox_id(shell) not in gone
    assert await say(shell, "cat /srv/n") == "42\n"


async def test_a_pool_whose_image_is_missing_says_so_once_and_sessions_say_why(
    make_shell: MakeShell,
) -> None:
    watcher = Watcher()
    settings = RealShellSettings(
        image="plumb-none:latest", pool=PoolSettings(size=2), watcher=watcher
    )
    async with open_backends([settings]) as backends:
        for _ in range(3):
            with pytest.raises(ImageMissing):
                await make_shell(backends=backends)
        async with asyncio.timeout(SOON):
            await watcher.has_failed.wait()
    assert len(watcher.failures) == 1
    assert "plumb-none:latest" in watcher.failures[0]


async def test_an_image_that_was_made_anew_is_what_new_sessions_get(
    make_shell: MakeShell,
) -> None:
    watcher, name = Watcher(), "plumb-shell-test-pool:latest"
    with closing(docker.from_env()) as engine:
        engine.images.get(IMAGE).tag(name)
        settings = RealShellSettings(
            image=name, limits=LIMITS, pool=PoolSettings(size=1), watcher=watcher
        )
        try:
            async with open_backends([settings]) as backends:
                await watcher.holds(1)
                changed = engine.containers.create(IMAGE)
                changed.commit(name.partition(":")[0], "latest", changes=["ENV NEWER=1"])
                changed.remove(force=True)
                shell = await make_shell(backends=backends)
                assert await say(shell, "echo $NEWER") == "1\n"
                await shell.close()
        finally:
            engine.images.remove(name, force=True)
    assert watcher.asked[0] == "dead"


async def test_at_its_end_a_pool_leaves_nothing(pool: Backends) -> None:
    before, watcher = set(in_pool()), Watcher()
    async with pooled(watcher) as _:
        await watcher.holds(SIZE)
        made = set(in_pool()) - before
        assert len(made) == SIZE
    assert not any(map(exists, made))
