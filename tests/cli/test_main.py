"""The command itself: what it refuses, and how it says so."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from plumb_cli.__main__ import _COMMANDS, main
from plumb_cli.settings_page import page
from plumb_server.settings import Settings


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("serve", "shell", "play", "doctor", "gc"))


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_says_what_it_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: plumb {command}")


def test_a_command_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serv"])
    assert caught.value.code == 2
    assert "invalid choice: 'serv'" in capsys.readouterr().err


def test_a_command_loads_nothing_that_only_another_needs() -> None:
    heavy = ("aiodocker", "sqlalchemy", "fastapi", "matplotlib", "scipy")
    code = (
        "import sys, plumb_cli.__main__ as cli\n"
        "try: cli.main(['--help'])\n"
        f"except SystemExit: print([m for m in {heavy!r} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("[]\n")


def test_it_says_which_version_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"plumb {version('plumb')}\n"


def test_play_refuses_a_bad_file_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "a"}\n')
    assert main(["play", str(path)]) == 2
    assert "bad.jsonl, line 1: field 'actions' is missing" in capsys.readouterr().err


def test_play_refuses_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "nowhere.jsonl"]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["shell", "--server", "127.0.0.1:1"]) == 1
    assert "start one with `plumb serve`" in capsys.readouterr().err


def test_a_command_without_its_extra_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "plumb_cli.play", raising=False)
    assert main(["play", "x.jsonl"]) == 2
    assert "pip install './plumb[bench]'" in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "plumb_cli", "--help"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("usage: plumb")


def test_the_settings_page_has_every_setting() -> None:
    for name in Settings.model_fields:
        assert f"`PLUMB_{name.upper()}`" in page()


def test_the_client_needs_nothing_but_the_bare_install() -> None:
    heavy = ("aiodocker", "sqlalchemy", "pydantic", "structlog", "rich", "uvloop", "plumb_backends")
    code = f"import sys, plumb_client; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
