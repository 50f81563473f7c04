"""Waiting until a server's pool is full, as its metrics say."""

import asyncio
import socket
import urllib.request


def free_port() -> int:
    """A port that nobody listens on, for `PLUMB_METRICS_PORT`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def until_full(port: int, kind: str, size: int) -> None:
    """Waits until a pool holds all that it is to hold."""
    full = f'plumb_pool_size{{pool="{kind}"}} {size:.1f}'
    while full not in await asyncio.to_thread(_read, port):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
