"""The health check of a container: it asks the server, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from plumb_server import healthy


@pytest.fixture
def servicer(monkeypatch: pytest.MonkeyPatch) -> Iterator[health.HealthServicer]:
    """A server's health, where PLUMB_LISTEN says."""
    monkeypatch.setattr(healthy, "_ANSWER_WITHIN", 60.0)
    servicer = health.HealthServicer()
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        monkeypatch.setenv("PLUMB_LISTEN", f"0.0.0.0:{port}")
        server.start()
        yield servicer
        server.stop(None).wait()


def test_a_server_that_serves_is_healthy(servicer: health.HealthServicer) -> None:
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert healthy.main() == 0


def test_one_that_does_not_is_not(
    servicer: health.HealthServicer, capsys: pytest.CaptureFixture[str]
) -> None:
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert healthy.main() == 1
    assert "is not healthy" in capsys.readouterr().err


def test_where_none_answers_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLUMB_LISTEN", "127.0.0.1:1")
    assert healthy.main() == 1
    assert capsys.readouterr().err == "plumb: no server answers at 127.0.0.1:1 (UNAVAILABLE)\n"


def test_with_tls_it_only_sees_whether_somebody_listens(
    servicer: health.HealthServicer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLUMB_TLS_CERT", "cert.pem")
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert healthy.main() == 0
    monkeypatch.setenv("PLUMB_LISTEN", "127.0.0.1:1")
    assert healthy.main() == 1
    assert "nobody listens at 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listen", "here"),
    [
        ("0.0.0.0:50051", "127.0.0.1:50051"),
        ("[::]:7", "127.0.0.1:7"),
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("192.0.2.7:50051", "192.0.2.7:50051"),
    ],
)
def test_it_asks_where_the_server_listens(listen: str, here: str) -> None:
    assert healthy.address_here(listen) == here
