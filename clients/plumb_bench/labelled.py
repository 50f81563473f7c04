"""Labelled pairs: a real and a simulated answer, and what an expert says of them."""

import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence
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
from plumb_fidelity import Seen, Verdict, compare
from plumb_fidelity.verdict import AGREEING, SEVERITY, UNSCORED

RIGHT, WRONG, UNDECIDABLE = LABELS = ("right", "wrong", "undecidable")
"""What an answer is; undecidable where what was told does not decide it."""

REPLICA, RECORDED, WRITTEN = ORIGINS = ("replica", "recorded", "written")
"""Where a simulated answer is from: a further real run, a recorded model, or whoever labelled."""

_FACTS = ("exit_code", "errno", "ending", "cwd")
_PROMPT = r"root@sandbox:[^\s#$]*[#$] ?"
_DURATION = re.compile(r"\(\d+\.\d+ sec\)")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """One pair.

    Attributes:
        id: Unique among all pairs.
        kind: The kind of environment.
        action: What was typed.
        history: The simulated side's turns before, as action and text.
        real: What real runs observed, one or more: `text` and the facts that are known.
        simulated: What the other side observed, likewise.
        at: When the real runs were made, UTC without a zone.
        label: One of `LABELS`.
        expected: The class, one of `SEVERITY`.
        reason: Why, for people.
        sure: Whether the rater was.
        origin: One of `ORIGINS`.
        source: The file, the scenario and the turn that it is from.
        told: What the simulated side was told of its world; a line may leave it out.
    """

    id: str
    kind: str
    action: str
    history: tuple[tuple[str, str], ...]
    real: tuple[Mapping[str, Any], ...]
    simulated: Mapping[str, Any]
    at: datetime.datetime
    label: str
    expected: str
    reason: str
    sure: bool
    origin: str
    source: str
    told: str = ""

    @property
    def differs(self) -> bool:
        """Whether the answer is none of the real ones, durations and trailing blanks aside."""
        return all(self._is_apart(run) for run in self.real)

    def _is_apart(self, run: Mapping[str, Any]) -> bool:
        if _plain(run["text"]) != _plain(self.simulated["text"]):
            return True
        known = [name for name in _FACTS if name in run and name in self.simulated]
        return any(run[name] != self.simulated[name] for name in known)

    def judge(self) -> Verdict:
        """Judges it as a user of the library would."""
        is_table = self.kind == "mysql"
        return compare(
            [Seen(**run) for run in self.real],
            Seen(**self.simulated),
            action=self.action,
            prompt="" if is_table else _PROMPT,
            is_table=is_table,
            at=self.at,
            history=self.history,
            told=self.told,
        )


def decision_of(name: str) -> str:
    """The label that a class stands for."""
    if name in AGREEING:
        return RIGHT
    return UNDECIDABLE if name in UNSCORED else WRONG


def _plain(text: str) -> str:
    return _TRAILING.sub("", _DURATION.sub("", text)).rstrip()


def read_labelled(path: Path) -> list[LabelledPair]:
    """Reads a file of pairs, all or nothing.

    Raises:
        BadLine: A line does not parse, lacks a field, contradicts itself or repeats an id.
        OSError: The file cannot be read.
    """
    pairs: dict[str, LabelledPair] = {}
    for place, line in read_lines(path):
        pair = parse_labelled(line, place)
        if pair.id in pairs:
            raise BadLine(f"{place}: id {pair.id!r} is used twice; give each pair its own")
        pairs[pair.id] = pair
    if not pairs:
        raise BadLine(f"{path}: there is no pair in it; give one at least")
    return list(pairs.values())


def parse_labelled(line: bytes, place: str) -> LabelledPair:
    """Reads one line; `place` says where it stands.

    Raises:
        BadLine: It is none.
    """
    data = parse_object(line, place)
    refuse_unknown(data, place, _FIELDS)

    def text(field: str) -> str:
        return str(take(data, place, field, "a text that is not empty", is_filled))

    def one_of(field: str, known: Sequence[str]) -> str:
        return str(take(data, place, field, f"one of {', '.join(known)}", known.__contains__))

    label, expected = one_of("label", LABELS), one_of("class", SEVERITY)
    if decision_of(expected) != label:
        raise BadLine(f"{place}: the class {expected} is not {label}; change one of the two")
    return LabelledPair(
        id=text("id"),
        kind=one_of("kind", ("shell", "mysql")),
        action=text("action"),
        history=tuple(
            (action, answer)
            for action, answer in take(
                data, place, "history", "a list of pairs of texts", _is_history
            )
        ),
        real=tuple(take(data, place, "real", "a list of runs, at least one", _are_runs)),
        simulated=take(data, place, "simulated", "an object with text and known facts", _is_run),
        at=_moment(text("at"), place),
        label=label,
        expected=expected,
        reason=text("reason"),
        sure=take(data, place, "sure", "true or false", lambda value: isinstance(value, bool)),
        origin=one_of("origin", ORIGINS),
        source=text("source"),
        told=text("told") if "told" in data else "",
    )


_FIELDS = tuple(
    "class" if field.name == "expected" else field.name
    for field in dataclasses.fields(LabelledPair)
)


def _moment(text: str, place: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise BadLine(f"{place}: field 'at' is {text!r}; write it as 2026-11-30T16:00:00") from None


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, list) and len(turn) == 2 and all(map(is_text, turn)) for turn in value
    )


def _is_run(value: Any) -> bool:
    return (
        isinstance(value, dict) and is_text(value.get("text")) and value.keys() <= {"text", *_FACTS}
    )


def _are_runs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_run, value))
