"""`python -m plumb_server.healthy`: exits with 0 if the server of this machine says that it serves.

For a container's health check. It asks where the server's own settings say that it listens. With
TLS it only sees whether somebody listens there: the certificate is for another name than this.
"""

import socket
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from plumb_server.settings import Settings

_ANSWER_WITHIN = 5.0
_ANY = ("0.0.0.0", "[::]")  # noqa: S104 - what is looked for, not listened on


def main() -> int:
    """Asks once; returns the exit status."""
    settings = Settings()
    address = address_here(settings.listen)
    return _knock(address) if settings.tls_cert else _ask(address)


def _ask(address: str) -> int:
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


def _knock(address: str) -> int:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_WITHIN).close()
    except OSError as error:
        sys.stderr.write(f"plumb: nobody listens at {address} ({error.strerror})\n")
        return 1
    return 0


def address_here(listen: str) -> str:
    """Where a server that listens so is reached from its own machine."""
    host, _, port = listen.rpartition(":")
    return f"127.0.0.1:{port}" if host in _ANY else listen


if __name__ == "__main__":
    sys.exit(main())
