"""Players: each has one session after the other, and knows what every answer must be."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.faults.episode import Episode, Violation
from tests.faults.world import World

import plumb_client
from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client.errors import translated

_Result = TypeVar("_Result")
_PATIENCE = 120.0
"""Seconds after which an answer that did not come is lost."""

_TABLE = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, token TEXT)"


class Ended(Exception):
    """The session has ended, and something that was done to the world excuses it."""


class Player:
    """One agent that never rests, seeded; `play` returns when the world is over."""

    def __init__(self, world: World, seed: str, number: int) -> None:
        self.kind = "mysql" if number % 2 else "shell"
        self.episodes: list[Episode] = []
        self._world = world
        self._number = number
        self._chosen = random.Random(f"{seed}/{number}")
        self._way = number // 2 % len(world.ways)
        self._tokens = 0
        self._session: plumb_client.aio.Session | None = None

    async def play(self) -> None:
        """Plays one episode after the other."""
        async with (
            self._world.connect(self._way) as plumb,
            self._world.channel(self._way) as channel,
        ):
            self._raw: wire_grpc.EnvironmentServiceAsyncStub = wire_grpc.EnvironmentServiceStub(
                channel
            )
            while not self._world.over.is_set():
                episode = Episode(self.kind, self._world.lives)
                self.episodes.append(episode)
                try:
                    await self._play_episode(plumb, episode)
                except Ended as why:
                    self._world.note(f"{episode.name} has ended: {why}")
                    await self._ask_again(episode)

    async def _play_episode(self, plumb: plumb_client.aio.Plumb, episode: Episode) -> None:
        session = self._session = await self._create(plumb, episode)
        self._world.note(f"player {self._number} has {episode.name}")
        if self.kind == "shell":
            await self._world.tell_warm(_id(episode))
        for _ in range(self._chosen.randint(5, 60)):
            if self._world.over.is_set():
                break
            await asyncio.sleep(self._chosen.uniform(0.02, 0.5))
            await self._turn(session, episode)
        await self._turn(session, episode, may_stray=False)  # and nothing is in doubt any more
        await self._check_state(session, episode)
        await self._insist(session.close, episode)

    async def _create(
        self, plumb: plumb_client.aio.Plumb, episode: Episode
    ) -> plumb_client.aio.Session:
        request_id = str(uuid.UUID(int=self._chosen.getrandbits(128)))
        init = [_TABLE] if self.kind == "mysql" else ["touch ~/log"]

        async def create() -> plumb_client.aio.Session:
            return await plumb.session(self.kind, init=init, request_id=request_id)

        while True:
            strikes = self._world.strikes.total()
            try:
                session = await self._insist(create, episode)
            except plumb_client.SandboxUnavailable:
                await self._world.is_told()
                if self._world.strikes.total() == strikes:
                    raise
            else:
                episode.name = session.name
                episode.born = self._world.lives  # it lives on this server, and on none before it
                return session

    # One turn.

    async def _turn(
        self, session: plumb_client.aio.Session, episode: Episode, *, may_stray: bool = True
    ) -> None:
        """One step that is answered; or, now and then, something else."""
        what = self._chosen.random()
        if may_stray and what < 0.04:
            await self._reset(session, episode)
        elif may_stray and what < 0.08 and episode.answered:
            await self._ask_again(episode)
        elif may_stray and what < 0.085 and self.kind == "shell":
            await self._step(session, episode, self._next_action(fills_disk=True))
        else:
            await self._step(session, episode, self._next_action(), may_give_up=may_stray)

    async def _step(
        self,
        session: plumb_client.aio.Session,
        episode: Episode,
        asked: tuple[str, str],
        *,
        may_give_up: bool = False,
    ) -> None:
        episode.asked = asked
        by_stream = self._chosen.random() < 0.2
        gives_up = may_give_up and episode.given_up is None and self._chosen.random() < 0.3

        async def step() -> plumb_client.Observation | None:
            try:
                return await (_streamed if by_stream else _stepped)(session, asked[1])
            except plumb_client.ServerUnavailable:
                if gives_up:
                    return None
                raise

        try:
            seen = await self._insist(step, episode)
        except plumb_client.SandboxUnavailable:
            if not await self._is_stricken(episode):
                raise
            await self._reset(session, episode)
            return
        if seen is None:
            self._world.did(f"give-up {asked[0]} of {episode.name}")
            episode.asked, episode.given_up = None, asked
            return
        self._world.did(f"step {seen.step_index} of {episode.name}: {seen.text[-60:]!r}")
        episode.take(seen.step_index, seen.text, self._counted(asked[0], seen))

    def _next_action(self, *, fills_disk: bool = False) -> tuple[str, str]:
        self._tokens += 1
        token = f"p{self._number:02}t{self._tokens:05}"
        if self.kind == "mysql":
            wait = self._chosen.choice(["", "", "", "DO SLEEP(0.2); "])
            return token, (
                f"{wait}SET @n = COALESCE(@n, 0) + 1; INSERT INTO t (token) VALUES ('{token}'); "
                f"SELECT '{token}', @n, COUNT(*) FROM t"
            )
        before = self._chosen.choice(["", "", "", "sleep 0.2; ", "seq 3000; ", "false; "])
        if fills_disk:
            before = "for f in 1 2 3; do head -c 30000000 /dev/zero > ~/$f; done; "
            self._world.did("hog a sandbox's disk")
            self._world.strikes[_id(self.episodes[-1])] += 1
        return token, (f"{before}echo {token} >> ~/log; echo {token} $((n += 1)) $(wc -l < ~/log)")

    def _counted(self, token: str, seen: plumb_client.Observation) -> int:
        """How many tokens the environment says that it has, on its disk and in its memory."""
        if self.kind == "mysql":
            said = [str(cell) for cell in seen.rows[-1]] if seen.rows else []
        else:
            said = (seen.text.splitlines() or [""])[-1].split()
        if len(said) != 3 or said[0] != token:
            raise Violation(f"step {seen.step_index} is {token}, and was answered {seen.text!r}")
        in_memory, on_disk = map(int, said[1:])
        if in_memory != on_disk and not (seen.restarted or seen.reconnected):
            raise Violation(f"{token} was run {in_memory} times in memory, {on_disk} on disk")
        return on_disk

    async def _reset(self, session: plumb_client.aio.Session, episode: Episode) -> None:
        strikes = self._world.strikes[_id(episode)]
        try:
            await self._insist(session.reset, episode)
        except plumb_client.SandboxUnavailable as error:  # it has ended then, as the proto says
            if not await self._is_stricken(episode):
                raise
            raise Ended(f"its reset failed: {error}") from error
        episode.healed = strikes  # what struck it since may have hit the sandbox that it has now
        info = await self._insist(session.info, episode)
        episode.is_reset(info.last_step_index)
        self._world.did(f"reset {episode.name}")

    async def _ask_again(self, episode: Episode) -> None:
        """Asks for the last answered step again, whether its session lives or not."""
        if not episode.answered or max(episode.answered) != episode.last or episode.given_up:
            return
        index, was = max(episode.answered), episode.answered[max(episode.answered)]
        assert self._session is not None
        request = self._session._answered  # with its nonce: nobody else gets the stored answer
        assert request is not None
        assert (request.step_index, request.action) == (index, was.action.encode())

        async def ask() -> wire.StepResponse:
            with translated():
                return await self._raw.Step(request, timeout=30)

        try:
            again = await self._insist(ask, episode)
        except Ended as error:
            raise Violation(f"the answer of step {index} of {episode.name} is lost") from error
        if (again.step_index, again.observation.text) != (index, was.text):
            raise Violation(
                f"step {index} of {episode.name} was answered {was}, and then "
                f"{again.observation.text!r}"
            )
        self._world.did(f"ask-again {index} of {episode.name}")

    async def _check_state(self, session: plumb_client.aio.Session, episode: Episode) -> None:
        """Looks at what it holds; a sandbox that was struck since its last step holds nothing."""
        try:
            episode.check_kept(await self._held(session, episode))
        except plumb_client.SandboxUnavailable as error:
            if not await self._is_stricken(episode):
                raise
            self._world.note(f"{episode.name} cannot be looked at any more: {error}")

    async def _held(self, session: plumb_client.aio.Session, episode: Episode) -> list[str]:
        if self.kind == "shell":
            log = await self._insist(lambda: session.exec(["cat", "/root/log"]), episode)
            return log.stdout.decode().split()
        rows = (await self._insist(lambda: session.step("SELECT token FROM t"), episode)).rows
        episode.last += 1
        return [str(token) for (token,) in rows]

    # Insisting.

    async def _insist(self, call: Callable[[], Awaitable[_Result]], episode: Episode) -> _Result:
        """Asks again for as long as only the way, or the server, is not there."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return await asyncio.wait_for(call(), _PATIENCE)
            except plumb_client.ServerUnavailable as error:
                self._world.note(f"{episode.name} lost a call: {str(error)[:200]}")
            except plumb_client.OutOfOrder as error:
                if error.reason != "STEP_IN_PROGRESS" and episode.given_up is None:
                    raise
                self._world.note(f"{episode.name} is told to wait: {error}")
            except plumb_client.SessionNotFound as error:
                if self._world.lives == episode.born and not await self._is_stricken(episode):
                    raise
                raise Ended(str(error)) from error
            if time.monotonic() > until:
                raise Violation(f"{episode.name} got no answer within {_PATIENCE:g} s")
            await asyncio.sleep(self._chosen.uniform(0.05, 0.3))

    async def _is_stricken(self, episode: Episode) -> bool:
        await self._world.is_told()
        return self._world.strikes[_id(episode)] > episode.healed


def _id(episode: Episode) -> str:
    return episode.name.removeprefix("sessions/")


async def _stepped(session: plumb_client.aio.Session, action: str) -> plumb_client.Observation:
    return await session.step(action)


async def _streamed(session: plumb_client.aio.Session, action: str) -> plumb_client.Observation:
    stream = session.stream(action)
    async for _ in stream:
        pass
    return stream.observation
