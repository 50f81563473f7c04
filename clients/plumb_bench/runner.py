"""Runs both sides of every scenario: real replicas, and simulators over their own or the real past.

Everything goes through the ordinary client. Real replicas come first, for the first of them is
what simulators are taught; what is recorded already is not run again.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from plumb_bench.paid import Paid
from plumb_bench.patience import may_pass, patiently
from plumb_bench.records import Records
from plumb_bench.scenario import Scenario
from plumb_bench.simulators import Simulator
from plumb_bench.trajectory import FREE, NOT_TOLD, REAL, TEACHER, Trajectory, Turn
from plumb_client import aio
from plumb_client.errors import PlumbError
from plumb_client.options import RecordedTurn, SessionOptions
from plumb_client.values import Ending

_SPREAD = "i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done"
"""Run before the init scripts of later replicas, so that processes get other ids there: sandboxes
that are started alike agree on what only chance decides."""

_PROBED_THROUGHOUT = 2
"""So many real runs are probed after every turn: two tell a change from what is volatile."""

_WAIT = 300.0  # seconds for a place on a busy server


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run.

    Attributes:
        scenarios: Every one, on every side.
        simulators: Who is measured.
        replicas: How many real runs each scenario has; 3 or more tell what is volatile.
        modes: `free-running`, `teacher-forced` or both; only models can be taught.
        probe_at: After which turns the state is probed, from 1; 0 is the last.
        probes_changes: Whether two real runs are probed before the first turn and after each, too,
            where any is probed: it tells how much each action changes, and costs most of the time.
        timeout: Seconds that each action may run.
        parallel: How many sessions at once.
    """

    scenarios: Sequence[Scenario]
    simulators: Sequence[Simulator]
    replicas: int = 3
    modes: Sequence[str] = (FREE,)
    probe_at: Sequence[int] = (1, 5, 10, 20, 0)
    probes_changes: bool = True
    timeout: float = 10.0
    parallel: int = 4


@dataclasses.dataclass(frozen=True, slots=True)
class _Job:
    scenario: Scenario
    side: str
    run: str
    simulator: Simulator | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.scenario.id, self.side, self.run


class Runner:
    """Runs a plan.

    Args:
        plumb: The connection.
        plan: What to run.
        records: Where results go, and which are there.
        on_done: Is told of each trajectory.
    """

    def __init__(
        self,
        plumb: aio.Plumb,
        plan: Plan,
        records: Records,
        on_done: Callable[[Trajectory], None] = lambda _: None,
    ) -> None:
        self._plumb = plumb
        self._plan = plan
        self._records = records
        self._on_done = on_done
        self._suites: dict[str, Sequence[str]] = {}

    async def run(self) -> None:
        """Runs what is not there yet.

        Raises:
            PlumbError: The server cannot be asked at all.
        """
        self._suites = {kind.name: kind.probe_suites for kind in await self._plumb.kinds()}
        await self._run_all(real_jobs(self._plan))
        simulated = simulated_jobs(self._plan)
        await self._run_all([job for job in simulated if job.run != TEACHER])
        await self._run_all([job for job in simulated if job.run == TEACHER])

    async def _run_all(self, jobs: "Sequence[_Job]") -> None:
        places = asyncio.Semaphore(self._plan.parallel)

        async def one(job: _Job) -> None:
            async with places:
                trajectory = await self._trajectory(job)
            self._records.add(trajectory)
            self._on_done(trajectory)

        async with asyncio.TaskGroup() as group:
            for job in jobs:
                if job.key not in self._records.done:
                    group.create_task(one(job))

    async def _trajectory(self, job: _Job) -> Trajectory:
        started = time.time()
        if job.simulator is not None and job.simulator.is_recorded:
            turns = recorded_turns(job.scenario, job.simulator)
            return Trajectory(
                scenario=job.scenario.id, side=job.side, run=job.run, at=started, turns=turns
            )
        if job.run == TEACHER and (same := self._same_as_free(job)) is not None:
            return same
        turns_made: list[Turn] = []
        before: Mapping[str, Mapping[str, str]] = {}
        failure = ""
        try:
            options = self._options(job)
            backend = REAL if job.simulator is None else "simulated"
            async with self._plumb.session(
                job.scenario.environment, backend, wait=_WAIT, **options
            ) as session:
                if self._is_probed_throughout(job):
                    before = await self._probes(job, session, Paid())
                for number, action in enumerate(job.scenario.actions, 1):
                    turns_made.append(await self._turn(job, session, number, action))
        except _CutOff as error:
            turns_made.append(error.turn)
            failure = f"turn {len(turns_made)} had no answer: {error.turn.failure}"
        except PlumbError as error:
            failure = f"{type(error).__name__}: {error}"
        except _NotTaught as error:
            failure = str(error)
        return Trajectory(
            scenario=job.scenario.id,
            side=job.side,
            run=job.run,
            at=started,
            turns=tuple(turns_made),
            failure=failure,
            before=before,
            probed_at=tuple(sorted(self._probed(job))),
        )

    def _same_as_free(self, job: _Job) -> Trajectory | None:
        """The free run, where that saw what really happened: its requests would be the same."""
        free = self._records.done.get((job.scenario.id, job.side, FREE))
        real = self._records.done.get((job.scenario.id, REAL, "1"))
        if free is None or real is None or free.has_failed or real.failure:
            return None
        if not all(map(_is_told_alike, free.turns[:-1], real.turns[:-1])):
            return None
        turns = tuple(map(_unpaid, free.turns))
        return dataclasses.replace(free, run=TEACHER, at=time.time(), turns=turns)

    async def _turn(self, job: _Job, session: aio.Session, number: int, action: str) -> Turn:
        """Takes a turn; a reply that cannot be used does not end the episode, but is counted."""
        started = time.perf_counter()
        paid, probing = Paid(), Paid()
        try:
            seen = await patiently(
                lambda: session.step(action, timeout=self._plan.timeout), paid.failure
            )
        except PlumbError as error:
            if job.simulator is None:
                raise  # a real side that is not there tells nothing of what comes after
            failure = f"{type(error).__name__}: {error}"
            turn = Turn(
                action=action,
                failure=failure,
                seconds=time.perf_counter() - started,
                **dataclasses.asdict(paid),
            )
            if may_pass(error):
                raise _CutOff(turn) from None
            return turn
        seconds = time.perf_counter() - started
        paid.answer(seen.provenance)
        is_sql = job.scenario.environment == "mysql"
        turn = Turn.of(action, seen, seconds, paid=paid, is_sql=is_sql)
        if number not in self._probed(job):
            return turn
        return turn.probed(await self._probes(job, session, probing), probing)

    def _probed(self, job: _Job) -> set[int]:
        """After which turns the state is asked for, from 1."""
        turns = range(1, len(job.scenario.actions) + 1)
        if self._is_probed_throughout(job):
            return set(turns)
        if job.simulator is not None and not job.simulator.has_state:
            return set()
        return {turn or len(turns) for turn in self._plan.probe_at} & set(turns)

    def _is_probed_throughout(self, job: _Job) -> bool:
        """Whether it is asked before and after every turn, which tells what each changes."""
        wanted = self._plan.probes_changes and bool(self._plan.probe_at)
        return wanted and job.simulator is None and int(job.run) <= _PROBED_THROUGHOUT

    async def _probes(
        self, job: _Job, session: aio.Session, paid: Paid
    ) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        for suite in self._suites.get(job.scenario.environment, ()):
            try:
                facts = await patiently(partial(session.probe, suite), paid.failure)
                paid.answer(facts.provenance)
                found[suite] = dict(facts)
            except PlumbError as error:
                if job.simulator is None:
                    raise
                found[suite] = {NOT_TOLD: f"{type(error).__name__}: {error}"}
        return found

    def _options(self, job: _Job) -> SessionOptions:
        scenario, simulator = job.scenario, job.simulator
        options: SessionOptions = {"init": scenario.init}
        if scenario.database:
            options["database"] = scenario.database
        if simulator is None:
            replica = int(job.run)
            if scenario.environment == "shell" and replica > 1:
                options["init"] = (_SPREAD.format(count=17 * (replica - 1)), *scenario.init)
            return options
        options["task"] = scenario.task
        options["simulator"] = self._simulator(job, simulator)
        return options

    def _simulator(
        self, job: _Job, simulator: Simulator
    ) -> dict[str, str | bool | float | Sequence[RecordedTurn]]:
        asked = simulator.options
        if job.run == TEACHER:
            asked["teacher"] = self._teacher(job.scenario)
        return asked

    def _teacher(self, scenario: Scenario) -> list[RecordedTurn]:
        real = self._records.done.get((scenario.id, REAL, "1"))
        if real is None or real.failure:
            raise _NotTaught("there is no real run to teach it with")
        return [
            RecordedTurn(
                turn.action,
                turn.text,
                turn.exit_code,
                errno=turn.errno,
                cwd=turn.cwd,
                ending=Ending[turn.ending] if turn.ending else None,
            )
            for turn in real.turns
        ]


class _NotTaught(Exception):
    """The real side of a scenario could not be run."""


class _CutOff(Exception):
    """The endpoint or the server was not there, however often it was asked: no turn follows."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn


def _is_told_alike(one: Turn, other: Turn) -> bool:
    return one.seen == other.seen


def _unpaid(turn: Turn) -> Turn:
    """A turn whose answer was paid already."""
    return dataclasses.replace(
        turn,
        prompt_tokens=0,
        completion_tokens=0,
        cost_usd=0,
        attempts=0,
        probe_prompt_tokens=0,
        probe_completion_tokens=0,
        probe_cost_usd=0,
    )


def real_jobs(plan: Plan) -> list[_Job]:
    """The real side: every replica of every scenario."""
    return [
        _Job(scenario, REAL, str(replica))
        for scenario in plan.scenarios
        for replica in range(1, plan.replicas + 1)
    ]


def simulated_jobs(plan: Plan) -> list[_Job]:
    """The simulated side: each simulator with each scenario that it plays."""
    return [
        _Job(scenario, simulator.label, mode, simulator)
        for simulator in plan.simulators
        for mode in (plan.modes if simulator.is_model else (FREE,))
        for scenario in plan.scenarios
        if simulator.plays(scenario)
    ]


def recorded_turns(scenario: Scenario, simulator: Simulator) -> tuple[Turn, ...]:
    """The turns of a transcript; actions behind its end have a failure."""
    turns = simulator.transcripts[scenario.id].turns
    made = [
        Turn(
            action=turn.action,
            text=turn.text,
            exit_code=turn.exit_code,
            errno=turn.errno,
            cwd=turn.cwd,
            ending=turn.ending,
        )
        for turn in turns
    ]
    rest = scenario.actions[len(turns) :]
    made += [Turn(action=action, failure="the transcript ends before") for action in rest]
    return tuple(made)
