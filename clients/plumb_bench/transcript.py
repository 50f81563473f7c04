"""Transcripts: what was observed of a scenario's actions; one JSON line each."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumb_bench.lines import (
    BadLine,
    is_filled,
    is_text,
    parse_object,
    read_lines,
    refuse_unknown,
    take,
)
from plumb_bench.player import Played, Turn
from plumb_bench.scenario import Scenario
from plumb_client.values import Ending


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One recorded turn.

    Attributes:
        action: What was typed.
        text: What was read.
        exit_code: None where it is not known.
        errno: None where it is not known.
        timed_out: Whether it was stopped at its timeout.
        cwd: The shell's working directory afterwards; empty where it is not known.
    """

    action: str
    text: str
    exit_code: int | None = None
    errno: int | None = None
    timed_out: bool = False
    cwd: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What one simulator once answered to a scenario.

    Attributes:
        scenario: The scenario's id.
        model: Who answered.
        strategy: How it was prompted.
        turns: In the order of the scenario's actions; there may be fewer.
    """

    scenario: str
    model: str
    strategy: str
    turns: tuple[RecordedTurn, ...]

    @property
    def label(self) -> str:
        """What its simulator is called."""
        return f"{self.model} {self.strategy}".strip()


def read_transcripts(path: Path, scenarios: Sequence[Scenario]) -> list[Transcript]:
    """Reads a file of transcripts, all or nothing.

    Args:
        path: The file.
        scenarios: The scenarios of the run; a transcript of another one is left out.

    Raises:
        BadLine: A line does not parse, lacks a field, or does not fit its scenario.
        OSError: The file cannot be read.
    """
    known = {scenario.id: scenario for scenario in scenarios}
    found: list[Transcript] = []
    for place, line in read_lines(path):
        transcript = parse_transcript(line, place)
        if transcript.scenario in known:
            _check_fits(transcript, known[transcript.scenario], place)
            found.append(transcript)
    if not found:
        raise BadLine(f"{path}: none of its transcripts is of a scenario of this run")
    return found


def parse_transcript(line: bytes, place: str) -> Transcript:
    """Reads one line; `place` says where it stands.

    Raises:
        BadLine: It is none.
    """
    data = parse_object(line, place)
    refuse_unknown(data, place, ("scenario", "simulator", "init", "turns"))
    simulator = take(data, place, "simulator", "an object with model and strategy", _is_object)
    turns = take(data, place, "turns", "a list of turns, at least one", _is_filled_list)
    return Transcript(
        scenario=take(data, place, "scenario", "a scenario's id", is_filled),
        model=take(simulator, f"{place}, simulator", "model", "a text", is_filled),
        strategy=take(simulator, f"{place}, simulator", "strategy", "a text", is_text),
        turns=tuple(_read_turn(turn, f"{place}, turn {at}") for at, turn in enumerate(turns, 1)),
    )


def _read_turn(data: Any, place: str) -> RecordedTurn:
    if not isinstance(data, dict):
        raise BadLine(f"{place}: expected an object with action and observation")
    refuse_unknown(data, place, ("action", "observation", "exit_code", "errno", "cwd", "timed_out"))
    return RecordedTurn(
        action=take(data, place, "action", "a text", is_text),
        text=take(data, place, "observation", "a text", is_text),
        exit_code=_number(data, place, "exit_code", most=255),
        errno=_number(data, place, "errno", most=1_000_000),
        timed_out=bool(data.get("timed_out", False)),
        cwd=take(data, place, "cwd", "a text", is_text) if data.get("cwd") is not None else "",
    )


def _number(data: dict[str, Any], place: str, field: str, *, most: int) -> int | None:
    if data.get(field) is None:
        return None
    value: int = take(
        data, place, field, f"a whole number from 0 to {most}",
        lambda value: type(value) is int and 0 <= value <= most,
    )  # fmt: skip
    return value


def _check_fits(transcript: Transcript, scenario: Scenario, place: str) -> None:
    if len(transcript.turns) > len(scenario.actions):
        raise BadLine(
            f"{place}: field 'turns' has {len(transcript.turns)} turns; scenario {scenario.id!r} "
            f"has {len(scenario.actions)} actions"
        )
    for at, (turn, action) in enumerate(zip(transcript.turns, scenario.actions, strict=False), 1):
        if turn.action != action:
            raise BadLine(
                f"{place}, turn {at}: field 'action' is {turn.action[:60]!r}; "
                f"scenario {scenario.id!r} has {action[:60]!r} there"
            )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def to_line(played: Played) -> str:
    """Writes a played scenario as a transcript, without a line end.

    The init scripts are in it, so that it can be told from which state it began.
    """
    first = played.turns[0].observation.provenance if played.turns else None
    transcript = {
        "scenario": played.scenario.id,
        "simulator": {
            "model": (first.model or first.backend) if first else "",
            "strategy": first.strategy if first else "",
        },
        "init": list(played.scenario.init),
        "turns": list(map(_turn, played.turns)),
    }
    return json.dumps(transcript, ensure_ascii=False)


def _turn(turn: Turn) -> dict[str, Any]:
    seen = turn.observation
    written: dict[str, Any] = {"action": turn.action, "observation": seen.text}
    if seen.exit_code is not None:
        written["exit_code"] = seen.exit_code
    if seen.cwd:
        written["cwd"] = seen.cwd
    else:
        written["errno"] = seen.errno
    if seen.ending is Ending.TIMED_OUT:
        written["timed_out"] = True
    return written
