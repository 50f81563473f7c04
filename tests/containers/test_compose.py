"""The compose file says what this project's code and settings know, and publishes on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plumb_server.settings import Settings

PATH = Path(__file__).resolve().parents[2] / "containers" / "compose.yaml"


@pytest.fixture
def server() -> Any:
    return yaml.safe_load(PATH.read_text())["services"]["server"]


def test_every_port_is_published_on_loopback(server: Any) -> None:
    assert server["ports"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])


def test_every_variable_is_a_setting(server: Any) -> None:
    known = {f"PLUMB_{name.upper()}" for name in Settings.model_fields}
    protection = {"PLUMB_TOKEN", "PLUMB_TLS_CERT", "PLUMB_TLS_KEY", "PLUMB_TLS_CLIENT_CA"}
    variables = {name for name in server["environment"] if name.startswith("PLUMB_")}
    assert variables <= known | protection


def test_it_is_in_the_network_that_it_says_to_be_in(server: Any) -> None:
    networks = yaml.safe_load(PATH.read_text())["networks"]
    (network,) = server["networks"]
    assert networks[network]["name"] == server["environment"]["PLUMB_MYSQL_NETWORK"]


def test_there_can_be_one_alone_because_its_host_s_name_tells_its_sandboxes(server: Any) -> None:
    assert server["container_name"]
    assert server["hostname"]


def test_no_secret_is_written_into_it(server: Any) -> None:
    secret = ("PLUMB_TOKEN", "PLUMB_MYSQL_URL", "OPENAI_API_KEY")
    assert [server["environment"][name] for name in secret] == [None] * 3
