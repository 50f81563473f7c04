"""The commands against a real engine, as a new user runs them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.model_endpoint import endpoint_in_a_thread, fails, says

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
        env={name: v for name, v in os.environ.items() if not name.startswith("OPENAI_")} | env,
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


def reply(output: str, exit_code: int = 0, cwd: str = "/root") -> dict[str, object]:
    return {"output": output, "exit_code": exit_code, "cwd": cwd, "seconds": 0}


def test_shell_is_a_usable_simulated_terminal() -> None:
    with endpoint_in_a_thread() as endpoint:
        endpoint.script(says(reply("", cwd="/srv")), says(reply("/srv\n", cwd="/srv")),
                        fails(401), says(reply("on\n")))  # fmt: skip
        run = plumb("shell", "shell", "--backend", "simulated", "--model", "m",
                    stdin="cd /srv\npwd\nls\necho on\n", OPENAI_BASE_URL=endpoint.url)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "root@sandbox:/srv# /srv\n" in run.stdout
    assert "set OPENAI_API_KEY" in run.stderr
    assert "on\n" in run.stdout  # it goes on behind the error


def test_shell_shows_both_sides_of_a_pair_and_where_they_part() -> None:
    with endpoint_in_a_thread() as endpoint:
        endpoint.script(says(reply("hi\n")), says(reply("")))
        run = plumb("shell", "--backend", "paired", "--model", "m", "--strategy", "naive",
                    "--observe", "simulated", "--task", "Look round.",
                    stdin="echo hi\nls /nope\n", OPENAI_BASE_URL=endpoint.url)  # fmt: skip
        assert "Look round." in endpoint.requests[0]["messages"][0]["content"]
    assert run.returncode == 0, run.stderr
    first, _, second = run.stdout.partition("AGREES")
    assert "hi" in first
    assert "ls: cannot access '/nope': No such file or directory\n" in second
    assert "FALSE_SUCCESS" in second
    assert "real: exit status 2; simulated: exit status 0" in second


def test_play_records_what_was_observed_as_transcripts(tmp_path: Path) -> None:
    scenario = {"id": "s", "environment": "shell", "task": "t", "init": ["echo 1 > /srv/n"],
                "actions": ["cat /srv/n", "cd /srv; sleep 60"], "tags": []}  # fmt: skip
    (tmp_path / "in.jsonl").write_text(json.dumps(scenario) + "\n")
    run = plumb("play", str(tmp_path / "in.jsonl"), "--record", str(tmp_path / "out.jsonl"),
                "--timeout", "0.5")  # fmt: skip
    assert run.returncode == 0, run.stderr
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    transcript = json.loads(line)
    assert (transcript["scenario"], transcript["simulator"]["model"]) == ("s", "real")
    assert transcript["init"] == scenario["init"]
    first, second = transcript["turns"]
    assert first == {"action": "cat /srv/n", "observation": "1\n", "exit_code": 0, "cwd": "/root"}
    assert second["timed_out"] is True
    assert second["cwd"] == "/srv"


def test_doctor_looks_at_the_model_endpoint() -> None:
    with endpoint_in_a_thread() as endpoint:
        run = plumb("doctor", OPENAI_BASE_URL=endpoint.url)
    assert f"ok   model        {endpoint.url}" in run.stdout
    run = plumb("doctor", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert run.returncode == 1
    assert (
        "FAIL model        the model endpoint http://127.0.0.1:9/v1 does not answer" in run.stdout
    )


@pytest.mark.parametrize(
    ("variable", "value", "says_so"),
    [
        ("OPENAI_BASE_URL", "nowhere", "this is no URL of an endpoint, for example http://127"),
        ("PLUMB_SIMULATOR_STRATEGIES", "/nowhere", "/nowhere is no folder; set PLUMB_SIMULATOR_"),
        ("PLUMB_SIMULATOR_CASSETTE", "README.md", "README.md:1: this is no recorded reply"),
        ("PLUMB_SIMULATOR_REPLY_FORMAT", "xml", "PLUMB_SIMULATOR_REPLY_FORMAT is 'xml'"),
    ],
)
def test_a_bad_setting_of_simulators_is_one_line_with_the_mend(
    variable: str, value: str, says_so: str
) -> None:
    run = plumb("serve", "--listen", "127.0.0.1:0", PLUMB_JOURNAL="sqlite://", **{variable: value})
    assert run.returncode == 2
    assert says_so in run.stderr
    assert "Traceback" not in run.stderr


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
    assert len(snippets) == 3
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
        "42",
        " EMPTY ",
    ]
