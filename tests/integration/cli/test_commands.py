"""The commands against a real engine, as a new user runs them."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from plumb_bench.player import play_all
from plumb_bench.scenario import read_scenarios
from plumb_cli.local_server import ServerDidNotStart, server_at
from plumb_client import Ending, aio

PLUMB = [sys.executable, "-m", "plumb_cli"]


def plumb(*arguments: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PLUMB, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **env},
        check=False,
    )


def test_doctor_finds_everything_well() -> None:
    run = plumb("doctor")
    assert run.returncode == 0, run.stdout
    assert re.search(r"^ok +engine +version ", run.stdout, re.MULTILINE)
    assert re.search(r"^ok +shell image ", run.stdout, re.MULTILINE)


def test_doctor_says_how_to_mend_a_missing_image() -> None:
    run = plumb("doctor", PLUMB_SHELL_IMAGE="plumb-nosuch:1")
    assert run.returncode == 1
    assert "FAIL shell image  plumb-nosuch:1 is not there" in run.stdout
    assert "-> make images" in run.stdout


def test_doctor_says_how_to_mend_a_missing_engine() -> None:
    run = plumb("doctor", PLUMB_ENGINE="unix:///nowhere/docker.sock")
    assert run.returncode == 1
    assert "FAIL engine" in run.stdout


def test_a_bad_setting_is_named() -> None:
    run = plumb("serve", PLUMB_MAX_SESSIONS="many")
    assert run.returncode == 2
    assert run.stderr.startswith("plumb: PLUMB_MAX_SESSIONS is 'many': ")


def test_shell_plays_what_is_typed() -> None:
    run = plumb("shell", stdin="cd /etc\npwd\nexit 3\necho still\n")
    assert run.returncode == 0, run.stderr
    assert "/etc\n" in run.stdout
    assert "[SHELL_EXITED, the shell was restarted]" in run.stdout
    assert "still\n" in run.stdout


def test_play_prints_a_row_for_each_scenario(tmp_path: Path) -> None:
    lines = Path("scenarios/shell.jsonl").read_text().splitlines()[:2]
    path = tmp_path / "two.jsonl"
    path.write_text("\n".join(lines) + "\n")
    run = plumb("play", str(path), "--picture", str(tmp_path / "table.svg"), COLUMNS="120")
    assert run.returncode == 0, run.stderr
    assert "shell-003" in run.stdout
    assert "shell-004" in run.stdout
    assert "16/16" in run.stdout
    assert "http" not in re.sub("<!--.*?-->|xmlns=.*?>", "", (tmp_path / "table.svg").read_text())


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_JOURNAL", "sqlite:////nowhere/journal.sqlite")
    with (
        pytest.raises(
            ServerDidNotStart, match=r"^plumb: the journal sqlite:////nowhere/.* cannot be opened"
        ),
        server_at(None),
    ):
        pass


async def test_every_shipped_scenario_plays_to_its_end() -> None:
    scenarios = read_scenarios([Path("scenarios/shell.jsonl"), Path("scenarios/mysql.jsonl")])
    with server_at(None) as address:
        async with aio.connect(address) as connection:
            played = await play_all(connection, scenarios, parallel=4, timeout=5)
            assert await connection.sessions() == []
    assert [one.error for one in played] == [""] * len(scenarios)
    assert [len(one.turns) for one in played] == [len(one.actions) for one in scenarios]
    endings = {turn.observation.ending for one in played for turn in one.turns}
    assert endings <= {Ending.EXITED, Ending.TIMED_OUT, Ending.AWAITS_INPUT, Ending.SIGNALED}


def test_the_snippets_of_the_readme_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    readme = Path("README.md").read_text()
    snippets = [
        textwrap.dedent(code) for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    ]
    assert len(snippets) == 2
    with server_at(None) as address:
        names: dict[str, object] = {}
        for snippet in snippets:
            snippet = snippet.replace("127.0.0.1:50051", address)
            exec(snippet.replace("connect()", f"connect({address!r})"), names)
        test = names["test_counts_lines"]
        assert callable(test)
        test()
    assert capsys.readouterr().out.splitlines() == [
        "42",
        " 0 Ending.EXITED /root",
        "Ending.TIMED_OUT",
        "ERROR 1146 (42S02): Table 'shop.nope' doesn't exist 1146",
    ]
