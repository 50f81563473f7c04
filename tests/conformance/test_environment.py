"""What every environment must do, whatever its kind and whatever stands behind it.

Straight against the seam, over every (kind, backend) that the registry knows: a new backend joins
by itself, and says in `CASES` what its sessions are told. A new kind says in `ACTIONS` how the
things that are asked here are typed in it. Models are played by a scripted endpoint (`playing`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from tests.conformance.playing import REPLIES, plays
from tests.conftest import MYSQL_IMAGE
from tests.model_endpoint import scripted_endpoint

from plumb_backends.environment import (
    Action,
    Ending,
    Environment,
    Executes,
    Interruptible,
    Observation,
    Program,
)
from plumb_backends.errors import (
    InitFailed,
    PlumbError,
    SandboxUnavailable,
    UnknownSuite,
    Unsupported,
)
from plumb_backends.grounding import Grounding
from plumb_backends.kinds.mysql import Isolation, MysqlOptions
from plumb_backends.paired import PairedOptions
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.pool import PoolSettings
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.sql.servers import ServerSettings
from plumb_backends.real.watcher import Nobody
from plumb_backends.registry import (
    Backend,
    Backends,
    Grounded,
    Spec,
    all_backends,
    all_kinds,
    open_backends,
)
from plumb_backends.simulated.options import RecordedTurn, ReplayOptions, SimulatorOptions
from plumb_backends.simulated.settings import SimulatorSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actions:
    """How things are typed in a kind."""

    init: str  # makes the word `grounded` readable
    bad_init: str
    read: bytes  # shows the word, if the state is the grounded one
    change: bytes  # makes the word unreadable
    say: bytes  # shows `hello`
    fail: bytes  # fails, and says `nope`
    write_much: bytes  # writes the numbers from 1 to 100000, a line each
    begins: str  # how that begins
    ends: str  # and ends
    bad_bytes: bytes  # writes much that is not UTF-8
    wait: bytes  # says `begun` and runs for ever
    init_fails: tuple[int, bytes]  # the bad init's status, and what it says


ACTIONS = {
    "shell": Actions(
        init="echo grounded > /srv/word",
        bad_init="echo why >&2; exit 3",
        read=b"cat /srv/word",
        change=b"rm /srv/word; cd /tmp",
        say=b"echo hello",
        fail=b"nope",
        write_much=b"seq 100000",
        begins="1\n2\n3\n",
        ends="100000",
        bad_bytes=b"head -c 300000 /dev/zero | tr '\\0' '\\377'",
        wait=b"echo begun; sleep 600",
        init_fails=(3, b"why"),
    ),
    "mysql": Actions(
        init="CREATE TABLE words (word TEXT); INSERT INTO words VALUES ('grounded')",
        bad_init="SELECT * FROM why",
        read=b"SELECT * FROM words",
        change=b"DROP TABLE words",
        say=b"SELECT 'hello'",
        fail=b"nope",
        write_much=b"SET cte_max_recursion_depth = 100000; WITH RECURSIVE n (n) AS "
        b"(SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000) SELECT n FROM n",
        begins="Query OK, 0 rows affected",
        ends=" sec)",
        bad_bytes=b"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) "
        b"SELECT REPEAT('\xc3', 100) FROM n",
        wait=b"SELECT 'begun'; SELECT SLEEP(600)",
        init_fails=(1, b"1146"),
    ),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One backend, what its sessions are told, and whether they come from a pool."""

    name: str
    backend: Backend
    backend_options: object | None = None
    is_pooled: bool = False


def recordings(kind: str) -> ReplayOptions:
    """Every episode of the tests below, as it was once recorded."""
    typed, reply = ACTIONS[kind], REPLIES[kind]
    episodes = (
        (typed.read, typed.change),
        (typed.change, typed.read),
        (typed.say, typed.fail, b"", typed.change),
        (typed.fail,),
        (typed.write_much,),
        (typed.bad_bytes,),
        (typed.wait, typed.say),
    )

    def turn(episode: Sequence[bytes], index: int) -> RecordedTurn:
        seen = reply(episode[index], episode[:index], grounded=True)
        status, seconds = seen.get("exit_code"), seen["seconds"]
        return RecordedTurn(
            *(episode[index], seen["output"], status),
            timed_out=seconds > 0,
            cwd=seen.get("cwd", ""),
        )

    return ReplayOptions(
        tuple(tuple(turn(episode, index) for index in range(len(episode))) for episode in episodes)
    )


def options_of(backend: Backend) -> object | None:
    """What a session of a backend is told."""
    model = SimulatorOptions(model="scripted")
    match backend.name:
        case "real":
            return None
        case "simulated":
            return model
        case "paired":
            return PairedOptions(model)
        case "replay":
            return recordings(backend.kind)
    raise AssertionError(f"say here what a session of backend {backend.name!r} is told")


CASES = [
    *(Case(f"{backend.kind}-{backend.name}", backend, options_of(backend))
      for backend in all_backends().values()),
    *(Case(f"{backend.kind}-paired-observing-simulated", backend,
           PairedOptions(SimulatorOptions(model="scripted"), observe="simulated"))
      for backend in all_backends().values() if backend.name == "paired"),
    *(Case(f"{backend.kind}-real-pooled", backend, is_pooled=True)
      for backend in all_backends().values() if backend.name == "real"),
    Case("mysql-sqlite", all_backends()["mysql", "simulated"],
         SimulatorOptions(model="baseline:sqlite", strategy="")),
    Case("mysql-real-shared", all_backends()["mysql", "real"]),
]  # fmt: skip

OWN_SERVER = ("mysql-real", "mysql-real-pooled")
"""The cases about a server of a session's own; the others take the quickest that there is."""


async def test_every_kind_says_here_how_it_is_tested() -> None:
    assert {kind for kind, _ in all_backends()} <= set(ACTIONS)


async def test_every_backend_belongs_to_a_kind_that_there_is() -> None:
    assert {kind for kind, _ in all_backends()} <= set(all_kinds())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unpooled() -> AsyncIterator[Backends]:
    async with scripted_endpoint() as endpoint:
        endpoint.otherwise = plays
        settings = SimulatorSettings(base_url=endpoint.url)
        mysql = RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE))
        async with open_backends([settings, mysql]) as backends:
            yield backends


class Pools(Nobody):
    """Knows what the pools hold."""

    def __init__(self) -> None:
        self.has_one = {kind: asyncio.Event() for kind in all_kinds()}

    def pool_holds(self, pool: str, count: int) -> None:
        change = self.has_one[pool].set if count else self.has_one[pool].clear
        change()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pooled() -> AsyncIterator[tuple[Backends, Pools]]:
    """Real backends with a warm pool each."""
    pool, watcher = PoolSettings(size=2), Pools()
    settings = [
        RealShellSettings(pool=pool, watcher=watcher),
        RealMysqlSettings(servers=ServerSettings(image=MYSQL_IMAGE), pool=pool, watcher=watcher),
    ]
    async with open_backends(settings) as backends:
        yield backends, watcher


@pytest_asyncio.fixture(loop_scope="module")
async def opened(case: Case, unpooled: Backends, pooled: tuple[Backends, Pools]) -> Backends:
    """The backends of a case; where it is about pools, they hold something."""
    if not case.is_pooled:
        return unpooled
    backends, watcher = pooled
    async with asyncio.timeout(SOON):
        await watcher.has_one[case.backend.kind].wait()
    return backends


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=CASES, ids=lambda case: case.name
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    yield request.param


@pytest.fixture
def backend(case: Case) -> Backend:
    return case.backend


@pytest.fixture
def actions(backend: Backend) -> Actions:
    return ACTIONS[backend.kind]


def spec_of(case: Case, *init: str, tolerate_failures: bool = False) -> Spec:
    scripts = init if case.backend.has_state else ()
    return Spec(
        kind=case.backend.kind,
        backend=case.backend.name,
        session_id=str(uuid.uuid4()),
        grounding=Grounding(scripts, tolerate_failures=tolerate_failures),
        options=(
            MysqlOptions(isolation=Isolation.SHARED)
            if case.backend.kind == "mysql" and case.name not in OWN_SERVER
            else None
        ),
        backend_options=case.backend_options,
    )


@asynccontextmanager
async def made(backends: Backends, spec: Spec) -> AsyncIterator[Grounded]:
    grounded = await backends.create(spec)
    try:
        yield grounded
    finally:
        await grounded.environment.close()


@pytest_asyncio.fixture(loop_scope="module")
async def environment(opened: Backends, case: Case, actions: Actions) -> AsyncIterator[Environment]:
    async with made(opened, spec_of(case, actions.init)) as grounded:
        yield grounded.environment


async def step(environment: Environment, text: bytes) -> Observation:
    return await asyncio.wait_for(environment.step(Action(text)), SOON)


def masked(seen: Observation) -> tuple[object, ...]:
    """What must be the same again: all but durations."""
    text = re.sub(r"\(\d+\.\d+ sec\)", "(T sec)", seen.text)
    return text, seen.exit_code, seen.ending, seen.shell, seen.sql


async def test_what_an_action_says_is_the_observation(
    environment: Environment, actions: Actions
) -> None:
    assert "hello" in (await step(environment, actions.say)).text


async def test_the_first_state_is_the_grounded_one(
    environment: Environment, actions: Actions
) -> None:
    assert "grounded" in (await step(environment, actions.read)).text


async def test_what_an_action_changes_is_seen_by_the_next(
    environment: Environment, actions: Actions
) -> None:
    await step(environment, actions.change)
    seen = await step(environment, actions.read)
    assert "grounded" not in seen.text


async def test_a_failed_command_is_an_observation_and_no_error(
    environment: Environment, actions: Actions
) -> None:
    seen = await step(environment, actions.fail)
    assert "nope" in seen.text
    assert seen.exit_code != 0
    assert seen.ending is Ending.EXITED


async def test_an_observation_is_well_formed(
    environment: Environment, backend: Backend, actions: Actions
) -> None:
    for text in (actions.say, actions.fail, b"", actions.change):
        seen = await step(environment, text)
        assert isinstance(seen.ending, Ending)
        assert isinstance(seen.text, str)
        assert seen.text.encode().decode() == seen.text  # no surrogates: it can be sent
        assert "\r" not in seen.text
        assert "\x1b" not in seen.text
        assert isinstance(seen.raw, bytes)
        assert seen.exit_code is None or 0 <= seen.exit_code <= 255
        assert (seen.signal is not None) is (seen.ending in (Ending.SIGNALED, Ending.OUT_OF_MEMORY))
        assert not seen.truncated
        assert seen.total_bytes >= 0
        assert 0 <= seen.run_duration < SOON
        assert (seen.shell is not None) is (backend.kind == "shell")
        assert (seen.sql is not None) is (backend.kind == "mysql")
        if seen.shell is not None:
            assert seen.shell.cwd.startswith("/")
            assert seen.shell.user
            assert seen.shell.host
            assert not seen.shell.restarted


async def test_it_says_where_an_observation_comes_from(
    environment: Environment, backend: Backend, actions: Actions
) -> None:
    provenance = (await step(environment, actions.say)).provenance
    allowed = {"paired": {"real", "simulated"}}.get(backend.name, {backend.name})
    assert provenance.backend in allowed
    if provenance.backend == "real":
        assert (provenance.model, provenance.attempts, provenance.prompt_tokens) == ("", 0, 0)


async def test_raw_holds_all_that_text_says(environment: Environment, actions: Actions) -> None:
    seen = await step(environment, actions.say)
    for line in seen.text.splitlines():
        assert not seen.raw or line.encode() in seen.raw


async def test_a_long_output_is_cut_says_so_and_keeps_head_and_tail(
    environment: Environment, actions: Actions
) -> None:
    seen = await step(environment, actions.write_much)
    assert seen.truncated
    assert len(seen.text.encode()) <= 64 * 1024 + 100  # and the line that says how much was cut
    assert len(seen.raw) <= 64 * 1024
    assert seen.total_bytes > 500_000
    assert seen.text.startswith(actions.begins)
    assert seen.text.rstrip().endswith(actions.ends)
    assert " bytes cut ..." in seen.text


async def test_text_is_capped_and_valid_whatever_bytes_were_written(
    environment: Environment, actions: Actions
) -> None:
    seen = await step(environment, actions.bad_bytes)
    assert seen.truncated
    assert len(seen.text.encode()) <= 64 * 1024 + 100
    assert "�" in seen.text


async def test_the_pieces_of_output_together_are_what_was_written(
    environment: Environment, actions: Actions
) -> None:
    pieces: list[bytes] = []
    seen = await environment.step(Action(actions.write_much), on_output=pieces.append)
    written = b"".join(pieces)
    assert len(written) == seen.total_bytes
    numbers = [int(word) for word in re.findall(rb"^\W*(\d+)\W*$", written, re.MULTILINE)]
    assert numbers == list(range(1, 100_001))


async def test_output_comes_before_the_end_where_the_backend_says_so(
    environment: Environment, backend: Backend, actions: Actions
) -> None:
    if not (backend.can_stream and backend.can_interrupt):
        return
    assert isinstance(environment, Interruptible)
    begun = asyncio.Event()
    seen = bytearray()

    def see(data: bytes) -> None:
        seen.extend(data)
        if b"begun" in seen:
            begun.set()

    running = asyncio.create_task(environment.step(Action(actions.wait), on_output=see))
    await asyncio.wait_for(begun.wait(), SOON)
    assert not running.done()
    assert environment.interrupt() is True
    assert (await asyncio.wait_for(running, SOON)).ending is Ending.INTERRUPTED
    assert environment.interrupt() is False


async def test_an_action_at_its_timeout_is_an_observation_and_the_next_runs(
    environment: Environment, actions: Actions
) -> None:
    seen = await environment.step(Action(actions.wait, timeout=5))
    assert seen.ending is Ending.TIMED_OUT
    assert "begun" in seen.text
    assert "hello" in (await step(environment, actions.say)).text


async def test_a_reset_gives_the_grounded_state(environment: Environment, actions: Actions) -> None:
    first = await step(environment, actions.read)
    await step(environment, actions.change)
    await environment.reset()
    again = await step(environment, actions.read)
    assert masked(again) == masked(first)


async def test_every_suite_is_answered_sorted_and_a_probe_changes_nothing(
    environment: Environment, backend: Backend, actions: Actions
) -> None:
    if not backend.has_state:
        return
    before = await step(environment, actions.read)
    for suite in all_kinds()[backend.kind].probe_suites:
        first, second = await environment.probe(suite), await environment.probe(suite)
        assert first == second
        assert first.suite == suite
        assert list(first.facts) == sorted(first.facts)
        assert all(isinstance(value, str) for value in first.facts.values())
    after = await step(environment, actions.read)
    assert masked(after) == masked(before)


async def test_a_probe_sees_what_an_action_changed(
    environment: Environment, backend: Backend, actions: Actions
) -> None:
    if not backend.has_state:
        return
    suites = all_kinds()[backend.kind].probe_suites
    before = [await environment.probe(suite) for suite in suites]
    await step(environment, actions.change)
    assert [await environment.probe(suite) for suite in suites] != before


async def test_a_backend_without_a_state_answers_no_probe_and_says_so(
    environment: Environment, backend: Backend
) -> None:
    if backend.has_state:
        return
    for suite in all_kinds()[backend.kind].probe_suites:
        with pytest.raises(Unsupported, match="no state"):
            await environment.probe(suite)


async def test_a_suite_that_is_not_there_is_unknown_and_the_others_are_named(
    environment: Environment, backend: Backend
) -> None:
    with pytest.raises(UnknownSuite, match="'no such'") as caught:
        await environment.probe("no such")
    for suite in all_kinds()[backend.kind].probe_suites:
        assert suite in str(caught.value)


async def test_it_may_be_closed_twice_and_a_step_after_that_is_unavailable(
    opened: Backends, case: Case, actions: Actions
) -> None:
    environment = (await opened.create(spec_of(case))).environment
    await environment.close()
    await environment.close()
    suite = all_kinds()[case.backend.kind].probe_suites[0]
    for call in (step(environment, actions.say), environment.probe(suite)):
        with pytest.raises(SandboxUnavailable):
            await call


async def test_init_scripts_run_in_order_and_each_has_its_result(
    opened: Backends, case: Case, actions: Actions
) -> None:
    if not case.backend.has_state:
        return
    spec = spec_of(case, actions.init, actions.bad_init, tolerate_failures=True)
    async with made(opened, spec) as grounded:
        good, bad = grounded.init_results
        assert good.exit_code == 0
        status, says = actions.init_fails
        assert bad.exit_code == status
        assert says in bad.stderr
        assert "grounded" in (await step(grounded.environment, actions.read)).text


async def test_a_failing_init_script_is_told_with_its_number_and_leaves_nothing(
    opened: Backends, case: Case, actions: Actions
) -> None:
    if not case.backend.has_state:
        return
    from plumb_backends.real.hardening import SESSION_LABEL

    spec = spec_of(case, actions.init, actions.bad_init, actions.init)
    with pytest.raises(InitFailed, match="script 2") as caught:
        await opened.create(spec)
    assert caught.value.metadata["script"] == "2"
    assert actions.init_fails[1].decode() in caught.value.metadata["tail"]
    assert not labelled(SESSION_LABEL, spec.session_id)


async def test_two_environments_share_nothing(
    opened: Backends, case: Case, actions: Actions
) -> None:
    async with (
        made(opened, spec_of(case, actions.init)) as one,
        made(opened, spec_of(case, actions.init)) as other,
    ):
        await step(one.environment, actions.change)
        assert "grounded" in (await step(other.environment, actions.read)).text


async def test_what_a_backend_says_it_can_do_its_environments_can(
    environment: Environment, backend: Backend
) -> None:
    assert isinstance(environment, Executes) is backend.can_exec
    assert isinstance(environment, Interruptible) is backend.can_interrupt
    if isinstance(environment, Executes):
        result = await environment.execute(Program(["cat"], stdin=b"\x00\xff"))
        assert (result.stdout, result.exit_code) == (b"\x00\xff", 0)
        missing = await environment.execute(Program(["no-such-program"]))
        assert missing.exit_code == 127


async def test_a_provider_that_is_up_answers_and_a_sweep_leaves_what_lives(
    opened: Backends, environment: Environment, actions: Actions
) -> None:
    await opened.check()
    await opened.sweep()
    assert "hello" in (await step(environment, actions.say)).text


async def test_whatever_is_raised_is_an_error_of_plumb_s(opened: Backends, case: Case) -> None:
    for kind, name in (("no kind", case.backend.name), (case.backend.kind, "no backend")):
        with pytest.raises(PlumbError, match="use one of"):
            await opened.create(dataclasses.replace(spec_of(case), kind=kind, backend=name))


def labelled(label: str, value: str) -> list[str]:
    """The containers with a label, those left out that are just being removed."""
    import docker

    engine = docker.from_env()
    try:
        found = engine.api.containers(all=True, filters={"label": f"{label}={value}"})
        return [container["Id"] for container in found if container["State"] != "removing"]
    finally:
        engine.close()
