"""The actor: asks the session's process, and answers for it."""

import time
from collections.abc import Sequence

from plumb_backends.environment import DEFAULT_TIMEOUT, Action, Ending, ProbeResult, Provenance
from plumb_backends.kind import Reply
from plumb_backends.kinds.mysql import MysqlOptions
from plumb_backends.simulated.asking import check_installed
from plumb_backends.simulated.options import BASELINE_PREFIX
from plumb_backends.simulated.sqlite.messages import Begin, Probe, Run
from plumb_backends.simulated.sqlite.worker import Worker
from plumb_backends.simulated.stage import Acted

_PROBE_SECONDS = 30.0


class Sqlite:
    """Plays MySQL; an `Actor`.

    Args:
        options: The session's.
        scripts: The init scripts; what SQLite cannot do of them is left out.
        script_seconds: What each script may take; the rest of it is left out.
    """

    def __init__(
        self,
        options: MysqlOptions,
        scripts: Sequence[str],
        *,
        script_seconds: float = DEFAULT_TIMEOUT,
    ) -> None:
        check_installed("sqlglot")
        self._begin = Begin(
            database=options.database,
            rendering=options.rendering,
            scripts=tuple(scripts),
            script_seconds=script_seconds,
        )
        self._worker: Worker | None = None

    async def act(self, action: Action) -> Acted:
        """Runs the action's statements; see `Actor.act`."""
        worker = await self._grounded()
        started = time.monotonic()
        ran = await worker.run(Run(action=action.text, seconds=action.timeout))
        took = min(time.monotonic() - started, action.timeout)
        ending = Ending.TIMED_OUT if ran.timed_out else Ending.EXITED
        facts = {"errno": ran.errno, "seconds": took, "ending": ending.value}
        return Acted(
            Reply(ran.text, facts),
            Provenance(backend="simulated", model=BASELINE_PREFIX + "sqlite"),
        )

    async def answer(self, suite: str) -> ProbeResult:
        """Answers `schema`, `counts` and `rows`; see `Actor.answer`."""
        worker = await self._grounded()
        facts = await worker.probe(Probe(suite=suite, seconds=_PROBE_SECONDS))
        return ProbeResult(suite, facts)

    async def restart(self) -> None:
        """Makes the grounded state anew, in a new process where the old one is gone."""
        if self._worker is not None and self._worker.is_lost:
            await self.close()
        if self._worker is None:
            self._worker = await Worker.start()
        await self._worker.begin(self._begin)

    async def close(self) -> None:
        """Ends the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    async def _grounded(self) -> Worker:
        if self._worker is None:
            await self.restart()
        assert self._worker is not None  # noqa: S101 - made by `restart`
        return self._worker
