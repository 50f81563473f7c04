"""The journal, and the server's diagnosis, as values."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack

from plumb.v1 import diagnosis_pb2
from plumb.v1 import journal_pb2 as wire
from plumb_client import checks, values


class JournalFilter(TypedDict, total=False):
    """Which sessions `journaled_sessions` gives; everything may be left out, and all must hold.

    Attributes:
        kind: Of this kind.
        backend: With this backend.
        verdict: With a step that has this verdict.
        live: True for such that live, False for such that have ended.
        page_size: How many at most; 1 to 1000, default 100.
        page_token: From the page before.
    """

    kind: str
    backend: str
    verdict: str
    live: bool
    page_size: int
    page_token: str


@dataclasses.dataclass(frozen=True, slots=True)
class JournaledSession:
    """A session as the journal has it. Times are Unix times in seconds.

    Attributes:
        name: `sessions/{uuid}`.
        model: Who played, with `strategy`; empty for real ones.
        end_time: None while it lives, and where its server ended without a word.
        end_reason: In words; empty where it is not known.
        live: Whether it lives, on the server that was asked.
        steps: How many were answered.
        verdicts: How many steps have each; only with backend `paired`.
        first_divergence: The first step with a hallucination; None without one.
    """

    name: str
    kind: str
    backend: str
    model: str
    strategy: str
    create_time: float
    end_time: float | None
    end_reason: str
    live: bool
    steps: int
    verdicts: Mapping[str, int]
    first_divergence: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class JournalPage:
    """A page of sessions, newest first.

    Attributes:
        sessions: The sessions.
        next_page_token: For the next page; empty on the last.
        total_size: How many there are on all pages together.
    """

    sessions: tuple[JournaledSession, ...]
    next_page_token: str
    total_size: int


@dataclasses.dataclass(frozen=True, slots=True)
class JournaledRequest:
    """What a session was created from, as far as a reader asks for it.

    Attributes:
        init: The init scripts.
        task: What the agent was to do.
        database: Of a MySQL session, as the agent sees it.
        observe: Which side the agent saw, in a pair.
    """

    init: tuple[str, ...]
    task: str
    database: str
    observe: str


@dataclasses.dataclass(frozen=True, slots=True)
class JournaledStep:
    """One answered step.

    Attributes:
        step_index: From 1.
        action: What was typed.
        observation: What was observed; None for an error.
        error: The sentence of the error that it was answered with; empty without.
        answer_time: Unix time in seconds.
        after_reset: Whether the session was reset between the step before and this one.
    """

    step_index: int
    action: str
    observation: values.Observation | None
    error: str
    answer_time: float
    after_reset: bool


@dataclasses.dataclass(frozen=True, slots=True)
class StepPage:
    """A page of steps, in order; the next one begins with `next_step_index`, 0 on the last."""

    steps: tuple[JournaledStep, ...]
    next_step_index: int


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the server stands on.

    Attributes:
        subject: What it is.
        state: `well`, `missing` (most things work without) or `broken`.
        summary: What it is, or what is wrong.
        mend: How to mend it; empty where nothing is to be done.
    """

    subject: str
    state: str
    summary: str
    mend: str


def _int32(name: str, value: object) -> int:
    return checks.whole(name, value, bits=32)


_FILTERS: Mapping[str, Callable[[str, object], Any]] = {
    "kind": checks.text,
    "backend": checks.text,
    "verdict": checks.text,
    "live": checks.flag,
    "page_size": _int32,
    "page_token": checks.text,
}


def write_list_request(
    **filters: Unpack[JournalFilter],
) -> wire.ListJournaledSessionsRequest:
    """Writes which sessions are wanted.

    Raises:
        InvalidInput: A filter makes no sense, or there is none of this name.
    """
    checks.known("filter", filters, _FILTERS)
    return wire.ListJournaledSessionsRequest(
        **{name: _FILTERS[name](name, value) for name, value in filters.items()}
    )


def write_steps_request(name: str, first: int, page_size: int) -> wire.ListJournaledStepsRequest:
    """Writes which steps are wanted; raises as `write_list_request` does."""
    return wire.ListJournaledStepsRequest(
        name=checks.text("name", name),
        first_step_index=checks.whole("first", first),
        page_size=_int32("page_size", page_size),
    )


def read_page(message: wire.ListJournaledSessionsResponse) -> JournalPage:
    """Reads a page of sessions."""
    return JournalPage(
        tuple(map(read_session, message.sessions)), message.next_page_token, message.total_size
    )


def read_session(message: wire.JournaledSession) -> JournaledSession:
    """Reads a session."""
    return JournaledSession(
        name=message.name,
        kind=message.kind,
        backend=message.backend,
        model=message.model,
        strategy=message.strategy,
        create_time=values.read_time(message.create_time),
        end_time=values.read_time(message.end_time) if message.HasField("end_time") else None,
        end_reason=message.end_reason,
        live=message.live,
        steps=message.steps,
        verdicts=dict(message.verdicts),
        first_divergence=message.first_divergence if message.HasField("first_divergence") else None,
    )


def read_whole_session(
    message: wire.GetJournaledSessionResponse,
) -> tuple[JournaledSession, JournaledRequest]:
    """Reads a session, and what it was created from."""
    request = message.request
    return read_session(message.session), JournaledRequest(
        init=tuple(script.decode(errors="replace") for script in request.init),
        task=request.task,
        database=request.mysql.database,
        observe=request.observe,
    )


def read_steps(message: wire.ListJournaledStepsResponse) -> StepPage:
    """Reads a page of steps."""
    return StepPage(tuple(map(_read_step, message.steps)), message.next_step_index)


def _read_step(message: wire.JournaledStep) -> JournaledStep:
    seen = None
    if message.HasField("observation"):
        seen = values.read_observation(message.observation, message.step_index)
    return JournaledStep(
        step_index=message.step_index,
        action=message.action.decode(errors="replace"),
        observation=seen,
        error=message.error,
        answer_time=values.read_time(message.answer_time),
        after_reset=message.after_reset,
    )


def read_finding(message: diagnosis_pb2.Finding) -> Finding:
    """Reads a finding."""
    state = diagnosis_pb2.FindingState.Name(message.state).removeprefix("FINDING_STATE_")
    return Finding(message.subject, state.lower(), message.summary, message.mend)
