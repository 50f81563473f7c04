"""Replay: recorded observations as a backend.

A step is answered by the turn that was recorded for it after the same actions; anything else is an
error, for a recording knows nothing of what would have been. It has no state to probe.
"""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from plumb_backends.environment import Action, Ending, ProbeResult, Provenance
from plumb_backends.errors import InvalidInput, NotRecorded, Unsupported
from plumb_backends.kind import Reply
from plumb_backends.registry import Backend, Backends, Grounded, Spec, all_kinds
from plumb_backends.simulated.options import RecordedTurn, ReplayOptions
from plumb_backends.simulated.outcome import ending_of
from plumb_backends.simulated.settings import ReplaySettings
from plumb_backends.simulated.stage import Acted, Stage

_INTERRUPTED = 128 + signal.SIGINT
"""What Ctrl-C leaves in `$?`, for recordings that do not say it."""


class Replay:
    """Plays recordings; an `Actor`."""

    def __init__(self, options: ReplayOptions) -> None:
        self._options = options
        self._turns: Mapping[tuple[bytes, ...], RecordedTurn] = {
            tuple(earlier.action for earlier in recording[: index + 1]): turn
            for recording in options.recordings
            for index, turn in enumerate(recording)
        }
        self._played: tuple[bytes, ...] = ()

    async def act(self, action: Action) -> Acted:
        """Gives what was recorded; see `Actor.act`."""
        place = (*self._played, action.text)
        turn = self._turns.get(place)
        if turn is None:
            raise NotRecorded(
                f"no recording has {_short(action.text)} as turn {len(place)} after the same "
                f"actions; {self._what_is_recorded()}"
            )
        facts = dict(turn.facts)
        if ending_of(Reply("", facts)) is Ending.TIMED_OUT:
            facts = {"exit_code": _INTERRUPTED, **facts, "seconds": action.timeout}
        provenance = Provenance(
            backend="replay", model=self._options.model, strategy=self._options.strategy
        )
        return Acted(Reply(turn.text, facts), provenance, lambda _: self._go_to(place))

    def _go_to(self, place: tuple[bytes, ...]) -> None:
        self._played = place

    async def answer(self, suite: str) -> ProbeResult:
        """A recording has no state; see `Actor.answer`."""
        raise Unsupported(
            f"a recording has no state to answer the probe suite {suite!r}; use another backend"
        )

    async def restart(self) -> None:
        """Goes back to the first turn."""
        self._played = ()

    async def close(self) -> None:
        """Has nothing to close."""

    def _what_is_recorded(self) -> str:
        length = len(self._played)
        next_ones = [
            place[-1]
            for place in self._turns
            if len(place) == length + 1 and place[:length] == self._played
        ]
        if not next_ones:
            return "the recording ends here; reset the session, or record more"
        return f"recorded is {', '.join(map(_short, next_ones[:3]))}; type that, or record this"


def _short(action: bytes) -> str:
    text = action.decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")


class ReplayProvider:
    """Makes replays of any kind."""

    async def create(self, spec: Spec) -> Grounded:
        """Makes a session; see `Provider.create`."""
        if not isinstance(spec.backend_options, ReplayOptions):
            raise InvalidInput("backend 'replay' needs the option replay; give its recordings")
        if spec.grounding.scripts:
            raise InvalidInput("a replay runs no init scripts; leave init out")
        kind = all_kinds()[spec.kind]
        options = spec.options or kind.options_type()
        return Grounded(Stage(kind, options, Replay(spec.backend_options)), ())

    async def check(self) -> None:
        """Stands on nothing."""

    async def sweep(self) -> int:
        """Leaves nothing behind."""
        return 0


@asynccontextmanager
async def _open(_: ReplaySettings, __: Backends) -> AsyncIterator[ReplayProvider]:
    yield ReplayProvider()


BACKENDS = tuple(
    Backend(kind=kind, name="replay", open=_open, settings_type=ReplaySettings, has_state=False)
    for kind in all_kinds()
)
