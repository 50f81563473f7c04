"""A session about to be made, for asyncio."""

import asyncio
import random
import time
from collections.abc import Generator
from typing import Any

from plumb.v1 import environment_pb2 as wire
from plumb.v1 import environment_pb2_grpc as wire_grpc
from plumb_client import values
from plumb_client.errors import LimitReached, translated
from plumb_client.home import Home
from plumb_client.session import Session


class Opening:
    """A session about to be made: await it, or enter it."""

    def __init__(
        self,
        stub: "wire_grpc.EnvironmentServiceAsyncStub",
        home: Home,
        request: wire.CreateSessionRequest,
        wait: float,
    ) -> None:
        self._stub = stub
        self._home = home
        self._request = request
        self._wait = wait
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._open()
        return self._session

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> Session:
        end = time.monotonic() + self._wait
        while True:
            try:
                with translated():
                    response = await self._stub.CreateSession(self._request)
            except LimitReached as error:
                left = end - time.monotonic()
                if not error.retry_after or left <= 0:
                    raise
                # Not all who wait may come back in the same moment.
                spread = random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it
                await asyncio.sleep(min(left, error.retry_after * spread))
            else:
                return Session(
                    self._stub,
                    self._home,
                    response.session,
                    values.read_init_results(response.init_results),
                    response.agent_token,
                )
