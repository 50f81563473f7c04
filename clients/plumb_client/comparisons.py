"""Comparisons: what `compare` sends, and what it gives back."""

import dataclasses
from collections.abc import Mapping, Sequence

from plumb.v1 import fidelity_pb2 as wire
from plumb_client import checks, requests, values
from plumb_client.options import ComparedOptions


@dataclasses.dataclass(frozen=True, slots=True)
class ComparedStep:
    """One step on both sides.

    Attributes:
        turn: From 1.
        action: What was typed.
        real: What the first real sandbox answered.
        simulated: What the simulator answered; None where it failed.
        verdict: How they compare.
    """

    turn: int
    action: str
    real: values.Observation
    simulated: values.Observation | None
    verdict: values.Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a comparison came to.

    Attributes:
        name: `reports/{uuid}`.
        create_time: Unix time in seconds.
        kind: The kind of environment.
        model: Who was compared; `strategy` says how it was prompted.
        replicas: How many real sandboxes there were.
        steps: How many steps; `scored_steps` of them say something of right or wrong, and
            `agreeing_steps` of those agree.
        verdicts: How many steps have each verdict.
        first_divergence: The turn of the first hallucination; None without one.
    """

    name: str
    create_time: float
    kind: str
    model: str
    strategy: str
    replicas: int
    steps: int
    scored_steps: int
    agreeing_steps: int
    verdicts: Mapping[str, int]
    first_divergence: int | None


_OPTIONS = frozenset(
    {"init", "task", "simulator", "recordings", "image", "hostname", "dumb_terminal",
     "use_image_user", "database", "isolation", "rendering", "max_rows", "max_text_bytes"}
)  # fmt: skip


def write_request(
    kind: str,
    actions: Sequence[str | bytes],
    options: ComparedOptions,
    *,
    replicas: int,
    timeout: float | None,
) -> wire.CompareRequest:
    """Writes what to compare; the options are those of a session with backend `paired`.

    Raises:
        InvalidInput: An option makes no sense here, or there is none of this name.
    """
    checks.known("option of compare", options, _OPTIONS)
    session = requests.create_session(kind, "paired", **options)
    request = wire.CompareRequest(
        kind=kind,
        init=session.init,
        task=session.task,
        actions=checks.each("actions", actions, checks.data),
        replicas=checks.whole("replicas", replicas, bits=32),
    )
    for field in ("simulator", "replay", "shell", "mysql"):
        if session.HasField(field):
            getattr(request, field).CopyFrom(getattr(session, field))
    if timeout is not None:
        request.timeout.CopyFrom(requests.duration(checks.seconds("timeout", timeout)))
    return request


def read_step(message: wire.ComparedStep) -> ComparedStep:
    """Reads a step."""
    return ComparedStep(
        turn=message.turn,
        action=message.action.decode(errors="replace"),
        real=values.read_observation(message.real, message.turn),
        simulated=values.read_observation(message.simulated, message.turn)
        if message.HasField("simulated")
        else None,
        verdict=values.read_verdict(message.verdict),
    )


def read_report(message: wire.Report) -> Report:
    """Reads a report."""
    return Report(
        name=message.name,
        create_time=values.read_time(message.create_time),
        kind=message.kind,
        model=message.model,
        strategy=message.strategy,
        replicas=message.replicas,
        steps=message.steps,
        scored_steps=message.scored_steps,
        agreeing_steps=message.agreeing_steps,
        verdicts=dict(message.verdicts),
        first_divergence=message.first_divergence if message.HasField("first_divergence") else None,
    )
