"""`plumb bench` as a user runs it: real sandboxes, recordings, baselines and a scripted model."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.model_endpoint import KEY, Body, calls, endpoint_in_a_thread, fails, says
from tests.served import eventually

PLUMB = [sys.executable, "-m", "plumb_cli"]

ONE = {
    "id": "one", "environment": "shell", "task": "look", "tags": [],
    "init": ["mkdir -p /srv && echo 42 > /srv/n", "sleep 600 >/dev/null 2>&1 & echo $! > /srv/pid"],
    "actions": ["cat /srv/n", "ls /srv", "cat /srv/none", "cat /srv/pid | sed 's/^/the pid is: /'"],
}  # fmt: skip
TWO = {**ONE, "id": "two", "actions": ["cat /srv/n; echo $((RANDOM)) > /srv/r", "wc -l /srv/n"]}
SQL = {
    "id": "three", "environment": "mysql", "database": "shop", "task": "", "tags": [],
    "init": ["CREATE TABLE t (a INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)"],
    "actions": ["SELECT COUNT(*) AS n FROM t", "SELECT * FROM nope"],
}  # fmt: skip
RECORDED = {
    "scenario": "one", "simulator": {"model": "rec", "strategy": "naive"},
    "turns": [
        {"action": ONE["actions"][0], "observation": "42\n"},
        {"action": ONE["actions"][1], "observation": "n  pid  secrets\n"},
        {"action": ONE["actions"][2], "observation": "hello\n"},
        {"action": ONE["actions"][3], "observation": "the pid is: 977\n"},
    ],
}  # fmt: skip


def lines(path: Path, *data: Any) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in data))
    return path


def start(*arguments: object, **env: str) -> "subprocess.Popen[str]":
    kept = {name: v for name, v in os.environ.items() if not name.startswith("OPENAI_")}
    return subprocess.Popen(
        [sys.executable, "-c", _AS_AT_A_TERMINAL, *PLUMB, "bench", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept | env,
    )  # fmt: skip


# What a shell starts in its background ignores interrupts, and so do its children. That is put back
# after the fork: between it and exec no Python may run where gRPC has threads.
_AS_AT_A_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def bench(*arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
    process = start(*arguments, **env)
    out, err = process.communicate(timeout=900)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def report(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return data


def verdicts(folder: Path) -> dict[tuple[str, str, str, int], str]:
    return {
        (step["simulator"], step["mode"], step["scenario"], step["turn"]): step["verdict"]
        for step in map(json.loads, (folder / "steps.jsonl").read_text().splitlines())
    }


def test_recordings_and_baselines_are_scored_against_three_real_runs(tmp_path: Path) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE, SQL)
    recorded = lines(tmp_path / "t.jsonl", RECORDED)
    out = tmp_path / "out"
    run = bench(
        scenarios, "--simulator", f"transcripts:{recorded}", "--simulator",
        "baseline:always_empty", "--simulator", "sqlite", "--probe-at", "1,0", "--out", out,
        COLUMNS="120",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = verdicts(out)
    assert [found["rec naive", "free-running", "one", turn] for turn in (1, 2, 3, 4)] == [
        "AGREES", "FABRICATED", "FALSE_SUCCESS", "VOLATILE_ONLY",
    ]  # fmt: skip
    assert found["sqlite", "free-running", "three", 1] in ("AGREES", "AGREES_BUT_LAYOUT")
    rows = {row["simulator"]: row for row in report(out)["rows"]}
    assert rows["rec naive"]["agreement"]["value"] == 0.5
    assert rows["rec naive"]["trajectories"] == 1
    assert rows["always_empty"]["trajectories"] == 2
    assert rows["sqlite"]["state"]["by_turn"].keys() == {"1", "2"}
    assert rows["sqlite"]["agreement_by_facts"]["0"]["steps"] == 2
    assert report(out)["real"]["changes"] == {"0": 6, "1": 0, "2": 0, "3+": 0}
    assert report(out)["real"]["replicas"] == 3
    assert report(out)["real"]["false_alarms"]["count"] == 0
    assert report(out)["record"]["seed"] == 0
    assert "a second real" in run.stdout
    assert "rec naive" in run.stdout
    page = (out / "report.html").read_text()
    assert "secrets" in page
    assert not any(loads in page for loads in ("<link", "src=", "@import"))


def test_a_model_runs_free_and_taught_and_its_failures_are_counted(tmp_path: Path) -> None:
    async def answer(body: Body) -> Any:
        text = json.dumps(body["messages"])
        last = str(body["messages"][-1]["content"])
        if "cat /srv/none" in last:
            return await fails(500)(body)
        # It believes its own past: taught, it sees the real 42 there.
        knows = "42\\\\n" in text
        said = "42\n" if knows and "wc" in last else "7\n"
        return await says({"output": said, "exit_code": 0, "cwd": "/root", "seconds": 0})(body)

    scenarios = lines(tmp_path / "s.jsonl", {**ONE, "actions": ["cat /srv/n", "wc -c /srv/none",
                                                                 "cat /srv/none"]})  # fmt: skip
    out = tmp_path / "out"
    with endpoint_in_a_thread() as endpoint:
        endpoint.begin(answer)
        run = bench(
            scenarios, "--simulator", "model:m", "--strategy", "naive", "--probe-at", "",
            "--replicas", "2", "--out", out,
            OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url, PLUMB_SIMULATOR_RETRIES="0",
        )  # fmt: skip
        asked = [json.dumps(body["messages"]) for body in endpoint.requests]
    assert run.returncode == 1, run.stderr
    rows = {row["mode"]: row for row in report(out)["rows"]}
    assert rows.keys() == {"free-running", "teacher-forced"}
    for row in rows.values():
        assert (row["steps"], row["scored"], row["backend_failures"]) == (3, 3, 1)
        assert row["cost"]["prompt_tokens"] > 0
    taught = [text for text in asked if "42\\\\n" in text]
    assert taught
    assert "transcript" not in (out / "steps.jsonl").read_text()


def _runs(process: str) -> bool:
    """Whether a process runs; one that has ended and that nobody has taken note of does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_resumed_with_the_same_result(
    tmp_path: Path, number: signal.Signals
) -> None:
    many = [{**TWO, "id": f"s{at}"} for at in range(5)]
    scenarios = lines(tmp_path / "s.jsonl", *many)
    arguments = [scenarios, "--simulator", "baseline:always_empty", "--parallel", "2",
                 "--no-changes"]  # fmt: skip
    whole = tmp_path / "whole"
    assert bench(*arguments, "--out", whole).returncode == 0
    played = [json.loads(line) for line in (whole / "trajectories.jsonl").read_text().splitlines()]
    assert not any(one.get("before") for one in played)
    assert any(turn.get("probes") for one in played for turn in one["turns"])

    cut = tmp_path / "cut"
    process = start(*arguments, "--out", cut)
    records = cut / "trajectories.jsonl"
    deadline = time.monotonic() + 120
    while not (records.exists() and records.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # another process writes the file: there is no event
    (server,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    process.communicate(timeout=60)
    eventually(lambda: not _runs(server), within=60)
    done = records.read_bytes().count(b"\n")
    assert done < 4 * len(many)

    again = bench(*arguments, "--out", cut)
    assert again.returncode == 2
    assert "has a run already; --resume it" in again.stderr
    assert bench(*arguments, "--out", cut, "--resume").returncode == 0
    assert verdicts(cut) == verdicts(whole)
    one, other = report(cut), report(whole)
    assert one["rows"][0]["agreement"] == other["rows"][0]["agreement"]
    assert one["mutations"].keys() == other["mutations"].keys()


@pytest.mark.parametrize(
    ("turns", "sentence"),
    [
        ('{"scenario": "one", "simulator"', "line 2: this is not JSON"),
        (json.dumps({**RECORDED, "turns": [{"action": "x", "observation": ""}]}),
         "line 2, turn 1: field 'action' is 'x'; scenario 'one' has 'cat /srv/n' there"),
    ],
)  # fmt: skip
def test_a_broken_transcript_line_stops_it_before_it_starts(
    tmp_path: Path, turns: str, sentence: str
) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE)
    recorded = tmp_path / "t.jsonl"
    recorded.write_text(json.dumps(RECORDED) + "\n" + turns + "\n")
    out = tmp_path / "out"
    run = bench(scenarios, "--simulator", f"transcripts:{recorded}", "--out", out)
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert not out.exists()


def test_a_scenario_whose_init_fails_is_named_and_in_no_figure(tmp_path: Path) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE, {**TWO, "init": ["exit 3"]})
    out = tmp_path / "out"
    run = bench(scenarios, "--simulator", "baseline:always_error", "--out", out)
    assert run.returncode == 1
    assert "two could not be run for real" in run.stdout
    assert report(out)["real"]["scenarios"] == 1
    assert list(report(out)["not_run"]) == ["two"]


def test_hostile_ids_lose_nothing_of_what_was_played(tmp_path: Path) -> None:
    hostile = ["[/]x", "<script>alert(1)</script>", "\x1b[2J../" + "n" * 300]
    short = {**ONE, "init": [], "actions": ["echo 42"]}
    turns = [{"action": "echo 42", "observation": "43\n"}]
    name = {"model": r"$\frac$", "strategy": "[/]"}
    scenarios = lines(tmp_path / "s.jsonl", *({**short, "id": one} for one in hostile))
    recorded = lines(
        tmp_path / "t.jsonl",
        *({"scenario": one, "simulator": name, "turns": turns} for one in hostile),
    )
    out = tmp_path / "out"
    run = bench(
        scenarios, "--simulator", f"transcripts:{recorded}", "--replicas", "1", "--out", out,
        PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert r"$\frac$ [/]" in run.stdout
    assert "\x1b" not in run.stdout + run.stderr
    assert {scenario for _, _, scenario, _ in verdicts(out)} == set(hostile)
    assert (out / "report.html").read_text().count("<script") == 1


@pytest.mark.parametrize(
    ("simulators", "sentence"),
    [
        (["model:m", "--strategy", "nope"], "simulator.strategy is 'nope'; use one of: few_shot"),
        (["baseline:nope"], "--simulator nope: kind 'shell' has no baseline 'nope'; use one of: "),
        (["model:m"], "--simulator m grounded: .*there is no model m"),
        (["model:m", "--temperature", "7"], "--simulator m grounded: .*temperature is 7"),
    ],
)  # fmt: skip
def test_a_simulator_that_the_server_lacks_is_refused_before_anything_starts(
    tmp_path: Path, simulators: list[str], sentence: str
) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE)
    out = tmp_path / "out"
    with endpoint_in_a_thread() as endpoint:
        endpoint.begin(fails(404, code="model_not_found", message="there is no model m"))
        run = bench(
            scenarios, "--simulator", *simulators, "--out", out,
            OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url, PLUMB_SIMULATOR_RETRIES="0",
        )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert re.search(sentence, run.stderr), run.stderr
    assert "Traceback" not in run.stderr
    assert not out.exists()


def test_a_kind_that_the_server_lacks_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE, {**ONE, "id": "[/]", "environment": "shel"})
    out = tmp_path / "out"
    run = bench(scenarios, "--simulator", "baseline:always_empty", "--out", out)
    assert run.returncode == 2
    assert "scenario '[/]': environment is 'shel'; use one of: mysql, shell" in run.stderr
    assert not out.exists()


def test_a_run_in_which_nothing_was_answered_is_no_success_and_can_be_played_again(
    tmp_path: Path,
) -> None:
    scenarios = lines(tmp_path / "s.jsonl", ONE)
    out = tmp_path / "out"
    arguments = [
        scenarios, "--simulator", "model:m", "--mode", "free", "--replicas", "1", "--probe-at", "",
        "--out", out,
    ]  # fmt: skip
    with endpoint_in_a_thread() as endpoint:
        env = {
            "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": endpoint.url, "PLUMB_SIMULATOR_RETRIES": "0",
        }  # fmt: skip
        endpoint.begin(fails(500))
        run = bench(*arguments, **env)
        assert run.returncode == 1, run.stderr
        assert "m grounded (free-running) answered none of 4 steps" in run.stdout
        endpoint.begin(says({"output": "42\n", "exit_code": 0, "cwd": "/root", "seconds": 0}))
        again = bench(*arguments, "--resume", **env)
    assert again.returncode == 0, again.stderr
    (row,) = report(out)["rows"]
    assert (row["steps"], row["backend_failures"]) == (4, 0)


def scripted(**before: "list[Any]") -> Any:
    """Answers each step rightly, after what stands before it by the action's first word."""

    async def answer(body: Body) -> Any:
        asked = str(body["messages"][-1]["content"])
        action = next(one for one in STEPS if one in asked)
        waiting = before.get(action.split()[0])
        return await (waiting.pop(0) if waiting else says(STEPS[action]))(body)

    return answer


STEPS = {
    "cat /srv/n": {"output": "42\n", "exit_code": 0, "cwd": "/root", "seconds": 0},
    "wc -l /srv/n": {"output": "7 /srv/n\n", "exit_code": 0, "cwd": "/root", "seconds": 0},
    "test -e /srv/none": {"output": "", "exit_code": 1, "cwd": "/root", "seconds": 0},
}


async def _late(body: Body) -> Any:
    await asyncio.sleep(30)  # the asker goes away long before
    return await says("too late")(body)


def test_tools_probes_and_failures_are_in_the_cost(tmp_path: Path) -> None:
    async def answer(body: Body) -> Any:
        asked = next(one for one in reversed(body["messages"]) if one["role"] == "user")["content"]
        if "not an action" in str(asked):
            return await says({"entries": []})(body)
        if "wc" in str(asked):
            return await says("")(body)
        is_told = any(one["role"] == "tool" for one in body["messages"])
        said = {"output": "42\n", "exit_code": 0, "cwd": "/root", "seconds": 0}
        return await (says(said) if is_told else calls({"code": "print(42)"}))(body)

    scenarios = lines(tmp_path / "s.jsonl", {**ONE, "actions": ["cat /srv/n", "wc -l /srv/n"]})
    out = tmp_path / "out"
    with endpoint_in_a_thread() as endpoint:
        endpoint.begin(answer)
        bench(
            scenarios, "--simulator", "model:m", "--strategy", "tools", "--probe-at", "1",
            "--no-changes", "--mode", "free", "--replicas", "1", "--out", out,
            OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url,
        )  # fmt: skip
        asked = len(endpoint.requests)
    [row] = report(out)["rows"]
    cost = row["cost"]
    assert (row["simulator"], row["right"]) == ("m tools", 1)
    assert (cost["probe_calls"], cost["probe_tokens"]) == (3, 3 * 110)
    assert asked == 2 + 2 + 3 + 6  # the trial before the start, a call, three probes, six attempts
    assert cost["prompt_tokens"] == 100 * (2 + 6)
    first, second = map(json.loads, (out / "steps.jsonl").read_text().splitlines())
    assert first["cost"]["prompt_tokens"] == 200
    assert second["cost"]["prompt_tokens"] == 600


FIGURES = (
    "agreement", "agreement_macro", "verdicts", "false_success", "false_failure", "coverage",
    "whole_trajectories", "right", "wrong", "backend_failures", "rank",
)  # fmt: skip


def test_a_slow_failing_and_limited_endpoint_ends_with_the_figures_of_a_good_one(
    tmp_path: Path,
) -> None:
    scenarios = lines(tmp_path / "s.jsonl", {**ONE, "actions": list(STEPS)})
    found = []
    with endpoint_in_a_thread() as endpoint:
        bad = {
            "cat": [fails(500), fails(500)],  # the first of them at the trial before the start
            "wc": [fails(429, retry_after=0.2), _late],
            "test": [fails(503)],
        }
        for name, before in (("good", {}), ("bad", bad)):
            endpoint.begin(scripted(**before))
            run = bench(
                scenarios, "--simulator", "model:m", "--mode", "free", "--replicas", "1",
                "--probe-at", "", "--strategy", "naive", "--out", tmp_path / name,
                OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url, PLUMB_SIMULATOR_RETRIES="0",
                PLUMB_SIMULATOR_STEP_SECONDS="4",
            )  # fmt: skip
            assert run.returncode == 0, run.stdout + run.stderr
            (row,) = report(tmp_path / name)["rows"]
            found.append({figure: row[figure] for figure in FIGURES})
    assert found[0] == found[1]
    assert (found[0]["right"], found[0]["wrong"]) == (2, 1)


def test_a_run_with_some_failed_steps_exits_with_1_and_resume_plays_them_again(
    tmp_path: Path,
) -> None:
    scenarios = lines(tmp_path / "s.jsonl", {**ONE, "actions": list(STEPS)})
    out = tmp_path / "out"
    arguments = [
        scenarios, "--simulator", "model:m", "--mode", "free", "--replicas", "1", "--probe-at", "",
        "--strategy", "naive", "--out", out,
    ]  # fmt: skip

    async def breaks_down(body: Body) -> Any:
        is_late = "wc -l /srv/n" in str(body["messages"][-1]["content"])
        return await (fails(503) if is_late else says(STEPS["cat /srv/n"]))(body)

    with endpoint_in_a_thread() as endpoint:
        env = {
            "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": endpoint.url, "PLUMB_SIMULATOR_RETRIES": "0",
        }  # fmt: skip
        endpoint.begin(breaks_down)
        run = bench(*arguments, **env)
        assert run.returncode == 1, run.stdout + run.stderr
        assert "m naive (free-running) answered 1 of 3 steps" in run.stdout.replace("\n", " ")
        (row,) = report(out)["rows"]
        assert (row["right"], row["backend_failures"], row["rank"]) == (1, 2, None)
        assert row["agreement"]["value"] == pytest.approx(1 / 3)
        endpoint.begin(scripted())
        again = bench(*arguments, "--resume", **env)
    assert again.returncode == 0, again.stdout + again.stderr
    (row,) = report(out)["rows"]
    assert (row["right"], row["wrong"], row["backend_failures"], row["rank"]) == (2, 1, 0, 1)


def test_what_a_free_run_was_asked_already_is_not_asked_again_of_the_taught_one(
    tmp_path: Path,
) -> None:
    right = {**STEPS, "wc -l /srv/n": {**STEPS["wc -l /srv/n"], "output": "1 /srv/n\n"}}
    scenarios = lines(tmp_path / "s.jsonl", {**ONE, "actions": list(right)})

    async def answer(body: Body) -> Any:
        asked = str(body["messages"][-1]["content"])
        return await says(next(said for action, said in right.items() if action in asked))(body)

    out = tmp_path / "out"
    with endpoint_in_a_thread() as endpoint:
        endpoint.begin(answer)
        run = bench(
            scenarios, "--simulator", "model:m", "--replicas", "1", "--probe-at", "",
            "--strategy", "naive", "--out", out,
            OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url,
        )  # fmt: skip
        asked = len(endpoint.requests)
    assert run.returncode == 0, run.stdout + run.stderr
    assert asked == len(right) + 1  # one of them is the trial before the start
    free, taught = report(out)["rows"]
    assert (free["right"], taught["right"]) == (3, 3)
    assert taught["cost"]["prompt_tokens"] == 0 < free["cost"]["prompt_tokens"]
