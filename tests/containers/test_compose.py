"""The compose file says what this project's code and settings know, and publishes on loopback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from plumb_server.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
PATH = PROJECT / "containers" / "compose.yaml"
SETTINGS = {f"PLUMB_{name.upper()}" for name in Settings.model_fields}
FILES = ("PLUMB_TOKEN_FILE", "PLUMB_TLS_CERT", "PLUMB_TLS_KEY", "PLUMB_TLS_CLIENT_CA")


@pytest.fixture
def server() -> Any:
    return yaml.safe_load(PATH.read_text())["services"]["server"]


def filled(text: str, variables: Mapping[str, str]) -> str:
    """What Compose makes of `${NAME:-else}` and `${NAME:+then}`."""

    def fill(found: re.Match[str]) -> str:
        value = variables.get(found["name"], "")
        return (value or found["word"]) if found["sign"] == "-" else found["word"] * bool(value)

    return re.sub(r"\$\{(?P<name>\w+):(?P<sign>[-+])(?P<word>[^${}]*)\}", fill, text)


def mounts(server: Any, variables: Mapping[str, str]) -> dict[str, str]:
    """What is mounted where."""
    split = (filled(volume, variables).split(":") for volume in server["volumes"])
    return {target: source for source, target, *_ in split}


def test_every_port_is_published_on_loopback(server: Any) -> None:
    assert server["ports"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])


def test_it_does_not_start_without_a_token(server: Any) -> None:
    assert server["environment"]["PLUMB_REQUIRE_TOKEN"] == "1"


def test_every_variable_is_a_setting(server: Any) -> None:
    assert {name for name in server["environment"] if name.startswith("PLUMB_")} <= SETTINGS


@pytest.mark.parametrize("page", ["operations", "security"])
def test_every_setting_that_the_docs_tell_to_set_is_passed(server: Any, page: str) -> None:
    told = set(re.findall(r"\bPLUMB_[A-Z_]+\b", (PROJECT / "docs" / f"{page}.md").read_text()))
    assert told & SETTINGS
    assert told & SETTINGS <= set(server["environment"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_in_its_folder_and_found_below_the_mount(server: Any, name: str) -> None:
    variables = {name: "a.pem", "PLUMB_TLS_DIR": "/etc/plumb"}
    inside = PurePosixPath(filled(server["environment"][name], variables))
    (mount,) = (
        target for target, source in mounts(server, variables).items() if source == "/etc/plumb"
    )
    assert inside == PurePosixPath(mount) / "a.pem"


def test_every_setting_that_is_passed_and_a_file_is_one_of_those(server: Any) -> None:
    fields = Settings.model_fields.items()
    told = {f"PLUMB_{name.upper()}" for name, field in fields
            if re.match(r"A (PEM )?file\b", field.description or "")}  # fmt: skip
    assert told & set(server["environment"]) == set(FILES)


def test_where_nobody_uses_tls_an_empty_volume_is_mounted_and_no_file_named(server: Any) -> None:
    volumes = yaml.safe_load(PATH.read_text())["volumes"]
    assert mounts(server, {})["/tls"] in volumes
    assert [filled(server["environment"][name], {}) for name in FILES] == [""] * len(FILES)


def test_the_folder_of_the_files_is_not_written(server: Any) -> None:
    (mount,) = (volume for volume in server["volumes"] if ":/tls" in volume)
    assert mount.endswith(":ro")


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
