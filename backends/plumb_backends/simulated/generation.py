"""Writes groundings: a model writes init scripts, they are run for real, and what fails is told it.

Only scripts that ran in fresh sandboxes are given, with the state that they left. A second question
asks how to tell that what the task needs is there, and that the task is done; that is run for real,
too (`verification`): scripts that run and leave nothing of use are the commoner failure. Both come
from Raj and Niemerg, "A study on techniques for improving LLMs as general purpose agents"; that
scripts, checks and actions really run, and that the model sees their real errors, is ours.
"""

import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from plumb_backends.environment import Environment
from plumb_backends.errors import InitFailed, InvalidInput, SandboxUnavailable
from plumb_backends.grounding import (
    GeneratedGrounding,
    Grounding,
    GroundingAttempt,
    GroundingCheck,
    GroundingWish,
    decode_scripts,
)
from plumb_backends.registry import Backends, Spec, all_kinds
from plumb_backends.simulated.asking import Endpoint, Spent, deadline_in
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.cassette import key_of
from plumb_backends.simulated.messages import ChatRequest, Message, SchemaUnknown
from plumb_backends.simulated.prompting import hash_of, shipped
from plumb_backends.simulated.reply_format import Fields, Malformed, object_schema, read_object
from plumb_backends.simulated.truth import Truth, Truths
from plumb_backends.simulated.verification import (
    CHECK_FIELDS,
    Checks,
    ProvesNothing,
    check_first_state,
    play,
    read_checks,
)

_SCRIPT_SECONDS = 60.0
_MOST_CHECKS = 3
"""How often the checks of one round are asked for, where they are not as they should be."""

_PROMPTS = ("generate", "generate_again", "check", "check_again")
_TEXTS = {"type": "array", "items": {"type": "string"}, "description": "texts"}
_WORLD_FIELDS: Fields = {"scripts": _TEXTS, "actions": _TEXTS}


class _Rejected(Exception):
    """What the model wrote cannot be taken; the message is told it."""


@dataclasses.dataclass(frozen=True, slots=True)
class _World:
    """What the model wrote."""

    scripts: tuple[str, ...]
    actions: tuple[str, ...]


class Generator:
    """Writes one grounding.

    Args:
        wish: Which one.
        backends: Has the real ones.
        truths: Captures what scripts leave.
        endpoint: Where to ask.
    """

    def __init__(
        self, wish: GroundingWish, backends: Backends, truths: Truths, endpoint: Endpoint
    ) -> None:
        self._wish = wish
        self._kind = all_kinds()[wish.kind]
        self._options = wish.options or self._kind.options_type()
        self._backends = backends
        self._truths = truths
        self._endpoint = endpoint
        self._budget = Budget(endpoint.settings.session_budget, "session", endpoint.budget)
        self._spent = Spent()
        self._attempts: list[GroundingAttempt] = []
        self._card = ""

    async def generate(self) -> GeneratedGrounding:
        """Tries until a grounding holds, or all rounds are used."""
        bare = await self._truths.of(self._spec(()), with_card=True, with_state=False)
        self._card = bare.card
        told = [Message("system", self._system())]
        told.append(Message("user", "Write the scripts and the actions."))
        for number in range(1, self._wish.rounds + 1):
            content = await self._ask(told, _WORLD_FIELDS, number)
            try:
                return await self._try(content, number)
            except _Rejected as error:
                again = shipped("generate_again").fill(error=str(error))
                told += [Message("assistant", content or ""), Message("user", again)]
        return self._result(None, None, None)

    async def _try(self, content: str | None, number: int) -> GeneratedGrounding:
        """One round; what it finds is among the attempts, whatever comes of it."""
        attempt = GroundingAttempt()
        try:
            world = _read_world(content)
            attempt = dataclasses.replace(attempt, scripts=world.scripts)
            check, why = await self._check(world, number)
            attempt = dataclasses.replace(attempt, check=check)
            if why:
                raise _Rejected(why)
            truth = await self._truths.of(
                self._spec(world.scripts), with_card=False, with_state=True
            )
        except SandboxUnavailable as error:
            await self._backends.check()  # raises where it is not the scripts that did it
            raise self._rejected(
                attempt, f"the sandbox did not survive the scripts, or the actions: {error}"
            ) from error
        except (Malformed, InitFailed, InvalidInput, ProvesNothing, _Rejected) as error:
            raise self._rejected(attempt, str(error)) from error
        self._attempts.append(attempt)
        return self._result(world, check, truth)

    def _rejected(self, attempt: GroundingAttempt, why: str) -> _Rejected:
        self._attempts.append(dataclasses.replace(attempt, error=why))
        return _Rejected(why)

    async def _check(self, world: _World, number: int) -> tuple[GroundingCheck, str]:
        """Checks what the scripts leave, plays the actions, and says why that is not good."""
        async with self._fresh(world.scripts) as grounded, self._fresh(()) as bare:
            checks, ready = await self._first_state(world, number, grounded, bare)
            if ready.passed:
                return ready, await play(checks, grounded, world.actions)
            return ready, (
                "the scripts ran, but what the task needs is not there. This check failed:\n"
                f"{ready.command}\nIt printed:\n{ready.output or '(nothing)'}"
            )

    async def _first_state(
        self, world: _World, number: int, grounded: Environment, bare: Environment
    ) -> tuple[Checks, GroundingCheck]:
        """Asks how to tell that all is there, again where the answer proves nothing."""
        told = self._checks_asked(world)
        for left in range(_MOST_CHECKS - 1, -1, -1):
            content = await self._ask(told, CHECK_FIELDS, number)
            try:
                checks = read_checks(content)
                return checks, await check_first_state(checks, grounded, bare)
            except (Malformed, ProvesNothing) as error:
                if not left:
                    raise
                again = shipped("check_again").fill(error=str(error))
                told += [Message("assistant", content or ""), Message("user", again)]
        raise AssertionError("the last time returns or raises")

    def _checks_asked(self, world: _World) -> list[Message]:
        system = shipped("check").fill(
            task=self._wish.task,
            role=self._kind.part.role(self._options, self._card),
            scripts="\n\n".join(world.scripts),
            how=self._kind.part.check_how,
        )
        return [Message("system", system), Message("user", "Write the check.")]

    @asynccontextmanager
    async def _fresh(self, scripts: tuple[str, ...]) -> AsyncIterator[Environment]:
        """A real sandbox in which these scripts have run, and nothing else."""
        grounded = await self._backends.create(self._spec(scripts))
        try:
            yield grounded.environment
        finally:
            await grounded.environment.close()

    # Asking.

    async def _ask(self, told: Sequence[Message], fields: Fields, number: int) -> str | None:
        wants_schema = await self._endpoint.knows_schemas(self._wish.model)
        for schema in [object_schema(fields), None] if wants_schema else [None]:
            request = ChatRequest(
                model=self._wish.model,
                messages=tuple(told),
                schema=schema,
                max_reply_tokens=self._endpoint.settings.max_reply_tokens,
                temperature=self._wish.temperature,
            )
            prompts = hash_of(*map(shipped, _PROMPTS))
            key = key_of(request, prompts=prompts, grounding="", sample=number)
            try:
                reply = await self._endpoint.ask(
                    request,
                    key,
                    deadline=deadline_in(self._endpoint.settings.step_seconds),
                    budget=self._budget,
                    spent=self._spent,
                )
            except SchemaUnknown:
                continue
            return reply.content
        raise AssertionError("an endpoint that is asked for text cannot refuse a schema")

    def _system(self) -> str:
        return shipped("generate").fill(
            role=self._kind.part.role(self._options, self._card),
            card=self._card,
            task=self._wish.task,
            how=self._kind.part.scripts_how,
            seconds=f"{_SCRIPT_SECONDS:g}",
        )

    def _spec(self, scripts: tuple[str, ...]) -> Spec:
        return Spec(
            kind=self._wish.kind,
            backend="real",
            session_id=str(uuid.uuid4()),
            grounding=Grounding(scripts, timeout=_SCRIPT_SECONDS),
            options=self._wish.options,
        )

    def _result(
        self, world: _World | None, check: GroundingCheck | None, truth: Truth | None
    ) -> GeneratedGrounding:
        return GeneratedGrounding(
            scripts=world.scripts if world else (),
            actions=world.actions if world else (),
            check=check,
            state=truth.state if truth else None,
            attempts=tuple(self._attempts),
            prompt_tokens=self._spent.prompt_tokens,
            completion_tokens=self._spent.completion_tokens,
            cost_usd=self._spent.usd,
        )


def _read_world(content: str | None) -> _World:
    data = read_object(content, _WORLD_FIELDS)
    scripts, actions = (
        tuple(text for text in data[name] if isinstance(text, str) and text.strip())
        for name in ("scripts", "actions")
    )
    if not scripts:
        raise Malformed("there is no script")
    if not actions:
        raise Malformed("there is no action")
    return _World(decode_scripts([script.encode() for script in scripts]), actions)
