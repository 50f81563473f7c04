"""What a grounding's capture takes of the server's places, and that it gives them back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from plumb.v1 import grounding_pb2 as wire
from plumb_backends.errors import InvalidInput, LimitReached
from plumb_server.grounding_service import GroundingService
from plumb_server.places import Places

if TYPE_CHECKING:
    from tests.server.conftest import FakeProvider, Kit

    from plumb_backends.registry import Backends

NO_CONTEXT: Any = None
REQUEST = wire.CaptureGroundingRequest(kind="shell")


async def test_where_there_are_not_two_places_it_says_so_and_nothing_is_made(
    backends: Backends, provider: FakeProvider
) -> None:
    with pytest.raises(InvalidInput, match=r"takes 2 sandboxes.*places for 1"):
        await GroundingService(backends, Places(1)).CaptureGrounding(REQUEST, NO_CONTEXT)
    assert provider.asked == 0


async def test_its_two_places_are_held_until_it_is_over_also_where_its_caller_goes_away(
    backends: Backends, provider: FakeProvider, kit: Kit
) -> None:
    places = Places(2)
    provider.may_create.clear()
    service = GroundingService(backends, places)
    capture = asyncio.create_task(service.CaptureGrounding(REQUEST, NO_CONTEXT))
    await kit.soon(provider.creating.wait())
    with pytest.raises(LimitReached):
        places.take()
    capture.cancel()
    await asyncio.wait({capture})
    places.take(2)
