"""When a server is ready: when it answers that it is healthy. Its log is never searched."""

import time
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from testcontainers.core.waiting_utils import WaitStrategy, WaitStrategyTarget

from plumb_client.errors import ServerUnavailable

_WITHIN: Final = 60.0
_ANSWER_WITHIN: Final = 10.0
_ASK_AGAIN_AFTER: Final = 0.05
_LAST_WORDS: Final = 5

_OPTIONS: Final = [
    # A container is on its way: gRPC's own patience is a second, and more each time.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class Healthy(WaitStrategy):
    """Waits until the server in a container says that it serves.

    Args:
        port: Its port inside.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._startup_timeout = _WITHIN
        self._poll_interval = _ASK_AGAIN_AFTER

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        """Waits.

        Raises:
            ServerUnavailable: The container ended, or the time is over.
        """
        deadline = time.monotonic() + self._startup_timeout
        address = self._address_of(container)
        with grpc.insecure_channel(address, options=_OPTIONS) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            while (answer := ask(health)) != "SERVING":
                demand_alive(container)
                if time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"the server is not ready after {self._startup_timeout:g} s ({answer}): "
                        f"{last_words(container)}"
                    )
                time.sleep(self._poll_interval)

    def _address_of(self, container: WaitStrategyTarget) -> str:
        try:
            port = container.get_exposed_port(self._port)
        except (TimeoutError, ConnectionError):  # testcontainers asks for a container that runs
            demand_alive(container)
            raise
        return f"{container.get_container_host_ip()}:{port}"


def demand_alive(container: WaitStrategyTarget) -> None:
    """Raises ServerUnavailable with a container's last words, if it has ended."""
    container.reload()
    if container.status not in ("created", "running"):
        raise ServerUnavailable(f"the server ended: {last_words(container)}")


def ask(health: Any) -> str:
    """Asks once: the answer's name, or that of the status of the call that failed."""
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=_ANSWER_WITHIN)
    except grpc.RpcError as error:
        return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def last_words(container: WaitStrategyTarget) -> str:
    """What it wrote last, for people."""
    written = b"".join(container.get_logs()).decode(errors="replace").strip()
    return "\n".join(written.splitlines()[-_LAST_WORDS:]) or "it said nothing"
