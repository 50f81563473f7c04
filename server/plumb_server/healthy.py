"""`python -m plumb_server.healthy`: exits with 0 if the server of this machine says that it serves.

For a container's health check. It asks where the server's own settings say that it listens.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from plumb_server.settings import Settings

_ANSWER_WITHIN = 5.0
_ANY = ("0.0.0.0", "[::]")  # noqa: S104 - what is looked for, not listened on


def main() -> int:
    """Asks once; returns the exit status."""
    address = address_here(Settings().listen)
    try:
        with grpc.insecure_channel(address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=_ANSWER_WITHIN
            )
    except grpc.RpcError as error:
        sys.stderr.write(f"plumb: no server answers at {address} ({error.code().name})\n")
        return 1
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.stderr.write(
            f"plumb: the server at {address} is not healthy; its log and `plumb doctor` say why\n"
        )
        return 1
    return 0


def address_here(listen: str) -> str:
    """Where a server that listens so is reached from its own machine."""
    host, _, port = listen.rpartition(":")
    return f"127.0.0.1:{port}" if host in _ANY else listen


if __name__ == "__main__":
    sys.exit(main())
