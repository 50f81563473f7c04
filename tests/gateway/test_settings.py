"""The gateway's settings: read once, checked at once, and a bad value names its variable."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pydantic
import pytest

from plumb_cli.http_beside import read_gateway_settings
from plumb_gateway.settings import GatewaySettings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PLUMB_"):
            monkeypatch.delenv(name)


def test_without_settings_no_http_is_served() -> None:
    assert GatewaySettings().listen == ""


@pytest.mark.parametrize("listen", ["localhost", ":1", "host:", "host:x", "host:65536", "h:-1"])
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape("is not HOST:PORT, for example")):
        GatewaySettings(listen=listen)


@pytest.mark.parametrize("name", GatewaySettings.model_fields)
def test_every_setting_is_documented_and_has_a_default(name: str) -> None:
    field = GatewaySettings.model_fields[name]
    assert field.description
    assert not field.is_required()
    assert f"PLUMB_HTTP_{name.upper()}" in Path("docs/settings.md").read_text(encoding="utf-8")


def test_a_variable_sets_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_HTTP_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("PLUMB_HTTP_HOSTS", " box.example, other,")
    monkeypatch.setenv("PLUMB_HTTP_RUNS", "/srv/runs")
    monkeypatch.setenv("PLUMB_HTTP_LEAVE_GRACE", "0")
    settings = GatewaySettings()
    assert settings.listen == "127.0.0.1:0"
    assert settings.own_hosts == {"box.example", "other"}
    assert settings.runs == Path("/srv/runs")
    assert settings.leave_grace == 0


def test_the_command_line_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_HTTP_LISTEN", "127.0.0.1:1")
    assert read_gateway_settings("127.0.0.1:2").listen == "127.0.0.1:2"
    assert read_gateway_settings(None).listen == "127.0.0.1:1"


def test_settings_are_read_once() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        GatewaySettings().listen = "127.0.0.1:1"  # type: ignore[misc]


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="no_such"):
        GatewaySettings(no_such=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("variable", "value"), [("PLUMB_HTTP_LISTEN", "here"), ("PLUMB_HTTP_LEAVE_GRACE", "-1")]
)
def test_a_bad_value_ends_with_status_2_and_one_line_that_names_variable_and_value(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        read_gateway_settings(None)
    said = capsys.readouterr().err
    assert (caught.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(f"plumb: {variable} is {value!r}: ")
