"""Steps of sessions that have ended: what was answered stays answered, and nothing runs."""

import dataclasses

from plumb.v1 import environment_pb2 as wire
from plumb_backends.errors import SessionNotFound, StepMismatch
from plumb_server.journal import Journal
from plumb_server.output_log import OutputLog
from plumb_server.steps import AskedStep


@dataclasses.dataclass(frozen=True, slots=True)
class PastStep:
    """A step that was answered before its session ended, as a `StepRun` is.

    Attributes:
        message: The observation as it was sent.
        output: Empty: only what the observation holds was kept.
    """

    index: int
    message: wire.Observation
    output: OutputLog

    async def answer(self) -> None:
        """Has come already."""


async def find_past_step(journal: Journal, asked: AskedStep, ended: SessionNotFound) -> PastStep:
    """Finds the answer of a step of a session that has ended.

    Raises:
        SessionNotFound: `ended` itself where the step was not answered, or one that says with
            which error it was, or that it was another caller's.
        StepMismatch: It was another action.
    """
    index = asked.index
    record = await journal.step_of(asked.session, index)
    if record is None:
        raise ended
    if record.nonce != asked.nonce:
        raise SessionNotFound(f"{ended} (step {index} was taken by a call with another nonce)")
    if record.action != asked.action.text:
        raise StepMismatch(
            f"step {index} of {asked.session} was another action, and the session has ended; "
            "create a new session"
        )
    if record.observation is None:
        raise SessionNotFound(f"{ended} (step {index} was answered with an error: {record.error})")
    output = OutputLog()
    output.close()
    return PastStep(index, wire.Observation.FromString(record.observation), output)
