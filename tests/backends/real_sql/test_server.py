"""Which servers there are, as far as that needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plumb_backends.real.sql.server import Server
from plumb_backends.real.sql.servers import Servers, ServerSettings

if TYPE_CHECKING:
    from plumb_backends.real.engine import Engine


async def _start(server: Server) -> None:
    server.version = "9.7.4"


async def _does_not_answer(_: Server) -> bool:
    return False


async def test_what_was_left_on_somebody_else_s_server_is_known_after_it_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Server, "start", _start)
    monkeypatch.setattr(Server, "answers", _does_not_answer)
    engine: Engine = object()  # type: ignore[assignment]
    servers = Servers(engine, ServerSettings(url="mysql://root:secret@127.0.0.1:3306/"))
    before = await servers.shared()
    before.left["plumb_0"] = "shop_0"
    after = await servers.shared()
    assert after is not before
    assert after.left == {"plumb_0": "shop_0"}
