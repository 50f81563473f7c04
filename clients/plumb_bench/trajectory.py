"""Trajectories: what one side answered to a scenario's actions, turn by turn."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from plumb_bench.lines import BadLine
from plumb_bench.paid import Paid
from plumb_client.values import Observation
from plumb_fidelity import Seen

REAL = "real"
"""The side that is run for real."""

FREE, TEACHER = "free-running", "teacher-forced"
"""How a simulator was run: over its own past, or over the real one."""

NOT_TOLD = "(failed)"
"""The key under which a probe that failed says why; no kind has it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn.

    Attributes:
        action: What was typed.
        text: What came back.
        exit_code: The shell's; None where it is not known, as for SQL.
        errno: MySQL's, 0 for none; None where it is not known, as for shells.
        ending: As in `Seen`.
        cwd: The shell's working directory; empty where it is not known, as for SQL.
        failure: Why there is no observation; empty where there is one.
        seconds: How long the call took; 0 for recorded turns.
        prompt_tokens: Sent to the model, for failures, too; `completion_tokens` were received.
        cost_usd: 0 where no price is known.
        probe_prompt_tokens: Sent for the probes after it; `probe_completion_tokens` were received.
        probe_cost_usd: What those probes cost.
        attempts: How many replies were sampled; 0 where no model was asked.
        probes: The state after the turn, by suite and key; empty where it was not asked for.
    """

    action: str
    text: str = ""
    exit_code: int | None = None
    errno: int | None = None
    ending: str = ""
    cwd: str = ""
    failure: str = ""
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    attempts: int = 0
    probe_prompt_tokens: int = 0
    probe_completion_tokens: int = 0
    probe_cost_usd: float = 0.0
    probes: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def seen(self) -> Seen:
        """As the differ takes it."""
        return Seen(
            text=self.text,
            exit_code=self.exit_code,
            errno=self.errno,
            ending=self.ending,
            cwd=self.cwd,
        )

    @classmethod
    def of(
        cls,
        action: str,
        seen: Observation,
        seconds: float,
        *,
        paid: Paid,
        is_sql: bool,
    ) -> "Turn":
        """One that a session answered."""
        return cls(
            action=action,
            text=seen.text,
            exit_code=seen.exit_code,
            errno=seen.errno if is_sql else None,
            ending=seen.ending.name,
            cwd=seen.cwd,
            seconds=seconds,
            prompt_tokens=paid.prompt_tokens,
            completion_tokens=paid.completion_tokens,
            cost_usd=paid.cost_usd,
            attempts=seen.provenance.attempts if seen.provenance.model else 0,
        )

    def probed(self, probes: Mapping[str, Mapping[str, str]], paid: Paid) -> "Turn":
        """The turn with the state after it, and what asking for that cost."""
        return dataclasses.replace(
            self,
            probes=probes,
            probe_prompt_tokens=paid.prompt_tokens,
            probe_completion_tokens=paid.completion_tokens,
            probe_cost_usd=paid.cost_usd,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One run of a scenario on one side.

    Attributes:
        scenario: Its id.
        side: `real`, or the simulator's label.
        run: For real ones which replica, from 1; for simulators `free-running` or
            `teacher-forced`.
        at: When it began: Unix time in seconds.
        turns: In order; a turn that gave nothing has a failure.
        failure: Why it ended early, or never began; empty where it did not.
        before: Of a real run the state before the first turn, as in `Turn.probes`.
        probed_at: After which turns the state was asked for, from 1, whether it was told or not.
    """

    scenario: str
    side: str
    run: str
    at: float
    turns: tuple[Turn, ...]
    failure: str = ""
    before: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    probed_at: tuple[int, ...] = ()

    def probes_after(self, number: int) -> Mapping[str, Mapping[str, str]]:
        """The state after a turn, from 0; empty where the turn was not reached."""
        return self.turns[number].probes if number < len(self.turns) else {}

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it within a run of the bench."""
        return self.scenario, self.side, self.run

    @property
    def has_failed(self) -> bool:
        """Whether it, one of its turns, or a probe gave nothing."""
        return bool(self.failure) or any(
            turn.failure or any(NOT_TOLD in told for told in turn.probes.values())
            for turn in self.turns
        )

    def to_json(self) -> dict[str, Any]:
        """As one line of a file; what has its default is left out."""
        turns = [
            {name: value for name, value in dataclasses.asdict(turn).items() if value not in _EMPTY}
            | {"action": turn.action}
            for turn in self.turns
        ]
        # Zero is a status, and is kept; a missing one is None.
        for written, turn in zip(turns, self.turns, strict=True):
            for name in ("exit_code", "errno"):
                if getattr(turn, name) is not None:
                    written[name] = getattr(turn, name)
        return {**dataclasses.asdict(self), "turns": turns}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], place: str) -> "Trajectory":
        """Reads a line back.

        Raises:
            BadLine: It is none.
        """
        try:
            turns = tuple(Turn(**turn) for turn in data["turns"])
            return cls(**{**data, "turns": turns, "probed_at": tuple(data.get("probed_at", ()))})
        except (KeyError, TypeError) as error:
            raise BadLine(f"{place}: this is no trajectory of ours: {error}") from None


_EMPTY: tuple[object, ...] = ("", None, 0, 0.0, {})
