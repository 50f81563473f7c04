"""The commands against a real engine, as a new user runs them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.model_endpoint import Body, endpoint_in_a_thread, fails, says

import plumb_client
from plumb_bench.player import play_all
from plumb_bench.scenario import read_scenarios
from plumb_cli.local_server import ServerDidNotStart, server_at
from plumb_client import Ending

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


def test_a_pair_s_verdict_rests_on_as_many_real_runs_as_are_asked_for() -> None:
    with endpoint_in_a_thread() as endpoint:
        endpoint.script(says(reply("17 of 20\n")))
        run = plumb("shell", "--backend", "paired", "--model", "m", "--strategy", "naive",
                    "--replicas", "2", stdin="echo $((RANDOM * 100000 + RANDOM)) of 20\n",
                    OPENAI_BASE_URL=endpoint.url)  # fmt: skip
        refused = plumb("shell", "--backend", "paired", "--model", "m", "--replicas", "99",
                        stdin="", OPENAI_BASE_URL=endpoint.url)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "VOLATILE_ONLY" in run.stdout
    assert "replicas is 99; use 1 to" in refused.stderr
    assert "--replicas N" in plumb("shell", "--help", stdin="").stdout


def test_play_records_what_was_observed_as_transcripts(tmp_path: Path) -> None:
    scenario = {"id": "s", "environment": "shell", "task": "t", "init": ["echo 1 > /srv/n"],
                "actions": ["cat /srv/n", "cd /srv; sleep 60"], "tags": []}  # fmt: skip
    (tmp_path / "in.jsonl").write_text(json.dumps(scenario) + "\n")
    run = plumb("play", str(tmp_path / "in.jsonl"), "--record", str(tmp_path / "out.jsonl"),
                "--timeout", "3")  # fmt: skip
    assert run.returncode == 0, run.stderr
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    transcript = json.loads(line)
    assert (transcript["scenario"], transcript["simulator"]["model"]) == ("s", "real")
    assert transcript["init"] == scenario["init"]
    first, second = transcript["turns"]
    assert first == {"action": "cat /srv/n", "observation": "1\n", "exit_code": 0, "cwd": "/root"}
    assert second["timed_out"] is True
    assert second["cwd"] == "/srv"


def test_ground_makes_scenarios_of_tasks_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "out" / "scenarios.jsonl"
    lines = [{"id": f"task-{number}", "environment": "shell" if number < 7 else "mysql",
              "task": f"Task number {number}.", "tags": ["t"]} for number in range(10)]  # fmt: skip
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def answer(body: Body) -> Any:
        told = json.dumps(body["messages"])
        is_shell, is_hopeless = "interactive bash" in told, "Task number 3." in told
        if body["messages"][-1]["content"] == "Write the check.":
            command = "test -s /srv/n" if is_shell else "SELECT COUNT(*) = 1 FROM t"
            reply: dict[str, Any] = {"check": command, "done": "", "answer": "1"}
        elif is_shell:
            script = "exit 9" if is_hopeless else "echo 1 > /srv/n"
            reply = {"scripts": [script], "actions": ["cat /srv/m", "cat /srv/n"]}
        else:
            script = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)"
            reply = {"scripts": [script], "actions": ["SELECT * FROM t"]}
        return await says(reply)(body)

    with endpoint_in_a_thread() as endpoint:
        endpoint.otherwise = answer
        command = ["ground", str(tasks), "--out", str(out), "--model", "m", "--rounds", "2"]
        run = plumb(*command, OPENAI_BASE_URL=endpoint.url)
        assert run.returncode == 1, run.stderr
        assert "9 of 10 tasks are grounded" in run.stdout
        assert "1 could not be" in run.stdout
        assert "task-3: init script 1 (exit 9) ended with exit status 9" in run.stderr
        again = plumb(*command, OPENAI_BASE_URL=endpoint.url)
        assert again.returncode == 2
        assert "is there already; --resume it" in again.stderr
        whole = out.read_bytes()
        out.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 20])  # as a crash leaves it
        asked = len(endpoint.requests)
        resumed = plumb(*command, "--resume", OPENAI_BASE_URL=endpoint.url)
        assert "9 of 10 tasks are grounded" in resumed.stdout
        assert len(endpoint.requests) - asked == 2 + 2  # the one that was cut, and the failure

    scenarios = read_scenarios([out])
    assert sorted(scenario.id for scenario in scenarios) == sorted(
        f"task-{number}" for number in range(10) if number != 3
    )
    (failure,) = map(json.loads, out.with_suffix(".failures.jsonl").read_text().splitlines())
    assert (failure["id"], len(failure["attempts"])) == ("task-3", 2)
    lines_of_records = out.with_suffix(".records.jsonl").read_text().splitlines()
    records = {record["id"]: record for record in map(json.loads, lines_of_records)}
    assert len(lines_of_records) == len(records) == 9
    assert records["task-0"]["check"]["command"] == "test -s /srv/n"
    assert {"key": "/srv/n"}.items() <= records["task-0"]["state"][0].items()
    played = plumb("play", str(out))
    assert played.returncode == 0, played.stderr
    assert "task-9" in played.stdout


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
    with server_at(None) as server:
        async with server.connect() as connection:
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
    assert len(snippets) == 4
    with server_at(None) as server:
        connect = f"connect({server.address!r}, token={server.token!r})"
        names: dict[str, object] = {}
        for snippet in snippets:
            snippet = snippet.replace('connect("127.0.0.1:50051")', connect)
            exec(snippet.replace("connect()", connect), names)
        test: Any = names["test_counts_lines"]
        with (
            plumb_client.connect(server.address, token=server.token) as plumb,
            plumb.session("shell", **test.pytestmark[0].kwargs) as shell,
        ):
            test(shell)
    assert capsys.readouterr().out.splitlines() == [
        "42",
        " 0 Ending.EXITED /root",
        "Ending.TIMED_OUT",
        "ERROR 1146 (42S02): Table 'shop.nope' doesn't exist 1146",
        'WRONG_VALUE ("real: -rw-r--r-- 1 root root 3 Nov 24 13:50 n; simulated: -rw-r--r-- 1 root '
        "root 4 Mar 4 10:12 n ('4' instead of '3')\",)",
        "42",
        " EMPTY ",
    ]
