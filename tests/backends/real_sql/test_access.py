"""The address of somebody else's server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from plumb_backends.errors import InvalidInput
from plumb_backends.real.sql.access import Access, connect, parse_url


@pytest.mark.parametrize(
    ("url", "access"),
    [
        ("mysql://root:x@db:3307/", Access(host="db", port=3307, user="root", password="x")),
        ("mysql://root@db", Access(host="db", port=3306, user="root")),
        ("mysql://a%40b:p%3A@db/", Access(host="db", port=3306, user="a@b", password="p:")),
        ("mysql://root@db/?ssl=off", Access(host="db", port=3306, user="root", encrypt=False)),
        (
            "mysql://root@db/?ssl_ca=/ca.pem",
            Access(host="db", port=3306, user="root", ca_file="/ca.pem"),
        ),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, access: Access) -> None:
    assert parse_url(url) == access


@pytest.mark.parametrize(
    "url", ["db:3306", "http://root:secret@db", "mysql://db", "mysql://root:secret@db:x/"]
)
def test_what_is_none_gets_a_sentence_without_the_password(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"use mysql://user:password@host:3306/") as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(parse_url("mysql://root:hidden@db/"))


async def test_a_connection_whose_caller_goes_away_while_it_is_made_is_closed() -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def never_greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(never_greet, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        connecting = asyncio.create_task(
            connect(Access(host=host, port=port, user="u", password="p"))
        )
        await asyncio.wait_for(arrived.wait(), 30)
        connecting.cancel()
        await asyncio.wait({connecting})
        assert connecting.cancelled()
        await asyncio.wait_for(closed.wait(), 30)
