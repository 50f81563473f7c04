"""Simulators, replays and pairs through the service, as any client sees them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.model_endpoint import (
    KEY,
    Answer,
    Body,
    Endpoint,
    calls,
    endpoint_in_a_thread,
    fails,
    says,
)

import plumb_client
from plumb_client import Ending, RecordedTurn

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, StartServer

METRICS_PORT = 19464


def reply(output: str, **facts: Any) -> dict[str, Any]:
    return {"output": output, "exit_code": 0, "cwd": "/root", "seconds": 0, **facts}


@pytest.fixture(scope="module")
def shared() -> Iterator[Endpoint]:
    with endpoint_in_a_thread() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared: Endpoint) -> Endpoint:
    shared.begin(says(reply("unscripted")))
    return shared


@pytest.fixture(scope="module")
def simulating(
    shared: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[plumb_client.Plumb]:
    from tests.integration.service.conftest import Server

    server = Server(
        tmp_path_factory.mktemp("simulating"),
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=shared.url,
        PLUMB_SIMULATOR_RETRIES="0",
        PLUMB_SIMULATOR_STEP_SECONDS="60",
        PLUMB_SIMULATOR_PRICES=json.dumps({"m": [10, 100]}),
        PLUMB_METRICS_PORT=str(METRICS_PORT),
    )
    with plumb_client.connect(server.address) as plumb:
        yield plumb
    server.stop()
    assert KEY not in server.log()


def model(**more: Any) -> Any:
    return {"model": "m", "strategy": "naive", **more}


def test_every_kind_says_which_backends_it_has(simulating: plumb_client.Plumb) -> None:
    for kind in simulating.kinds():
        backends = {backend.name: backend for backend in kind.backends}
        assert list(backends) == ["paired", "real", "replay", "simulated"]
        assert not backends["replay"].has_state


def test_a_model_plays_a_shell(simulating: plumb_client.Plumb, endpoint: Endpoint) -> None:
    endpoint.script(says(reply("", cwd="/tmp")), says("broken"), says(reply("no\n", exit_code=1)))
    with simulating.session("shell", "simulated", simulator=model(), task="Look round.") as shell:
        assert shell.step("cd /tmp").cwd == "/tmp"
        seen = shell.step("cat x")
    assert (seen.text, seen.exit_code, seen.ending) == ("no\n", 1, Ending.EXITED)
    came_from = seen.provenance
    assert (came_from.backend, came_from.model, came_from.strategy) == ("simulated", "m", "naive")
    assert (came_from.attempts, len(came_from.rejections)) == (2, 1)
    assert (came_from.prompt_tokens, came_from.completion_tokens) == (200, 20)
    assert came_from.cost_usd == pytest.approx(0.004)
    assert len(came_from.prompt_hash) == 12
    assert "Look round." in endpoint.requests[0]["messages"][0]["content"]


def test_the_init_scripts_run_for_real_and_a_snapshot_tells_what_they_left(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    init = [
        "mkdir -p /srv/d && printf 'a\\nb' > /srv/d/f && chmod 600 /srv/d/f && ln -s f /srv/d/l",
        "rm /etc/debian_version; head -c 3000 /dev/zero > /srv/big; echo said",
    ]
    with simulating.session(
        "shell", "simulated", simulator=model(strategy="snapshot"), init=init
    ) as shell:
        shell.step("ls /srv")
    assert [result.exit_code for result in shell.init_results] == [0, 0]
    assert shell.init_results[1].stdout_tail == b"said\n"
    told = endpoint.requests[0]["messages"][0]["content"]
    assert "/srv/d/f: file, mode 600, owner root:root, size 3, sha256 " in told
    assert "\n    | a\n    | b\n    \\ no newline at the end\n" in told
    assert "/srv/d/l: link, target f\n" in told
    assert "/srv/d: directory, mode 755, owner root:root\n" in told
    assert "/etc/debian_version: deleted\n" in told
    assert "/srv/big: file, mode 644, owner root:root, size 3000, sha256 " in told
    assert "shell: bash 5" in told  # the image card
    assert "installed: apt awk" in told


def test_a_snapshot_of_mysql_tells_schema_and_rows(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says({"output": "", "errno": 0, "seconds": 0})
    init = ["CREATE TABLE t (a INT PRIMARY KEY, b DECIMAL(4,1)); INSERT INTO t VALUES (1, 2.5)"]
    with simulating.session(
        "mysql", "simulated", simulator=model(strategy="snapshot"), init=init, database="shop"
    ) as db:
        db.step("SELECT * FROM t")
    told = endpoint.requests[0]["messages"][0]["content"]
    assert "shop.t: made so\n    | CREATE TABLE `t` (\n    |   `a` int NOT NULL," in told
    assert 'shop.t holds: 1 rows\n    | [1, "2.5"]' in told
    assert "sql_mode: ONLY_FULL_GROUP_BY" in told  # the image card


def test_an_init_script_that_fails_fails_a_simulated_session_too(
    simulating: plumb_client.Plumb,
) -> None:
    with (
        pytest.raises(plumb_client.InitFailed) as caught,
        simulating.session(
            "shell", "simulated", simulator=model(), init=["true", "echo why; exit 3"]
        ),
    ):
        pass
    assert (caught.value.script, caught.value.exit_code, caught.value.tail) == (2, 3, "why")


@pytest.mark.parametrize(
    ("answer", "reason", "says_so"),
    [
        (fails(401), "MODEL_UNAUTHORIZED", "set OPENAI_API_KEY"),
        (fails(404), "MODEL_UNKNOWN", "has no model 'm'"),
        (fails(400), "MODEL_REQUEST_REJECTED", "rejected the request"),
        (fails(500), "MODEL_UNAVAILABLE", "fails (status 500"),
        (fails(429, retry_after=7), "MODEL_RATE_LIMITED", "lets no more requests through"),
        (says(None, refusal="I will not"), "MODEL_REFUSED", "refused to reply: I will not"),
        (says("x", finish_reason="length"), "MODEL_REPLY_CUT", "was cut after"),
        (fails(400, code="context_length_exceeded"), "CONTEXT_FULL", "shorten them"),
    ],
)
def test_each_failure_of_a_model_has_its_reason_and_message(
    simulating: plumb_client.Plumb, endpoint: Endpoint, answer: Answer, reason: str, says_so: str
) -> None:
    endpoint.script(answer)
    with simulating.session("shell", "simulated", simulator=model()) as shell:
        with pytest.raises(plumb_client.ModelFailed) as caught:
            shell.step("ls")
        assert caught.value.reason == reason
        assert says_so in str(caught.value)
        assert caught.value.retry_after == (7 if reason == "MODEL_RATE_LIMITED" else 0)
        assert shell.info().state == "ready"
        assert shell.step("ls").text == "unscripted\n"  # it may be tried again


def test_replies_without_any_text_are_an_error_that_lists_why(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says("")
    with (
        simulating.session("shell", "simulated", simulator=model()) as shell,
        pytest.raises(plumb_client.ModelFailed) as caught,
    ):
        shell.step("rm -rf /")
    assert caught.value.reason == "MODEL_UNUSABLE"
    assert caught.value.metadata["attempts"].count("the reply is empty") == 6


def test_a_dead_endpoint_makes_the_server_unhealthy_and_each_step_an_error(
    start_server: StartServer, kit: type[Kit]
) -> None:
    server = start_server(OPENAI_BASE_URL="http://127.0.0.1:9/v1", PLUMB_SIMULATOR_RETRIES="0")
    with plumb_client.connect(server.address) as plumb:
        with (
            plumb.session("shell", "simulated", simulator=model()) as shell,
            pytest.raises(plumb_client.ModelFailed, match="does not answer") as caught,
        ):
            shell.step("ls")
        assert caught.value.reason == "MODEL_UNAVAILABLE"
        with plumb.session("shell") as real:  # which needs no model
            assert real.step("echo hi").text == "hi\n"
    kit.eventually(lambda: "not healthy" in server.log() and "127.0.0.1:9" in server.log())


def test_without_an_endpoint_a_simulated_session_says_what_to_set(
    plumb: plumb_client.Plumb,
) -> None:
    with (
        pytest.raises(plumb_client.ModelFailed, match="set OPENAI_API_KEY, or OPENAI_BASE_URL"),
        plumb.session("shell", "simulated", simulator=model()),
    ):
        pass


@pytest.mark.parametrize(
    ("backend", "options", "says_so"),
    [
        ("simulated", {}, "simulator.model is empty"),
        ("simulated", {"simulator": {"model": ""}}, "simulator.model is empty"),
        ("simulated", {"simulator": {"model": "m", "strategy": "nope"}}, "use one of: few_shot"),
        ("simulated", {"simulator": {"model": "m", "temperature": 9.0}}, "use 0 to 2"),
        ("simulated", {"simulator": {"model": "baseline:nope"}}, "always_empty, always_error"),
        ("simulated", {"simulator": {"model": "baseline:sqlite"}}, "has no baseline 'sqlite'"),
        ("simulated", {"simulator": {"model": "m"}, "observe": "real"}, "one side only"),
        ("simulated", {"recordings": [[RecordedTurn("a", "b")]]}, "does not apply"),
        ("real", {"simulator": {"model": "m"}}, "does not apply to backend 'real'"),
        ("replay", {}, "replay.recordings has no turns"),
        ("replay", {"recordings": [[RecordedTurn("a", "b")]], "init": ["x"]}, "leave init out"),
        ("paired", {}, "give either the option simulator or replay"),
        ("paired", {"simulator": {"model": "m"}, "observe": "x"}, "use 'real' or 'simulated'"),
        ("paired", {"simulator": {"model": ""}}, "simulator.model is empty"),
        ("simulated", {"simulator": {"model": "m"}, "task": "x" * 70_000}, "task has 70000 bytes"),
    ],
)
def test_bad_options_are_one_sentence_with_the_mend(
    simulating: plumb_client.Plumb, backend: str, options: Any, says_so: str
) -> None:
    with (
        pytest.raises(plumb_client.InvalidInput) as caught,
        simulating.session("shell", backend, **options),
    ):
        pass
    assert says_so in str(caught.value)
    assert not simulating.sessions()


def test_a_recording_is_replayed(simulating: plumb_client.Plumb) -> None:
    turns = [RecordedTurn("ls", "a\n", exit_code=0), RecordedTurn(b"cat b", "no\n", exit_code=1)]
    with simulating.session("shell", "replay", recordings=[turns]) as shell:
        assert shell.step("ls").text == "a\n"
        with pytest.raises(plumb_client.NotRecorded, match="recorded is 'cat b'"):
            shell.step("cat c")
        seen = shell.step("cat b")
        assert (seen.text, seen.exit_code, seen.provenance.backend) == ("no\n", 1, "replay")
        with pytest.raises(plumb_client.Unsupported):
            shell.probe("cwd")


def test_a_recording_has_every_ending_and_the_directory(simulating: plumb_client.Plumb) -> None:
    turns = [RecordedTurn(ending.name, "a\n", 137, ending=ending, cwd="/srv") for ending in Ending]
    with simulating.session("shell", "replay", recordings=[turns]) as shell:
        seen = [shell.step(turn.action) for turn in turns]
    assert [one.ending for one in seen] == list(Ending)
    assert {one.cwd for one in seen} == {"/srv"}


def test_a_doubtful_reply_is_given_with_a_flag(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.begin(says(reply("I'm sorry, I cannot do that.")))
    with simulating.session("shell", "simulated", simulator=model()) as shell:
        seen = shell.step("cat /srv/n")
    assert seen.text == "I'm sorry, I cannot do that.\n"
    assert seen.provenance.flags == ("apology: I'm sorry, I cannot do that.",)
    assert (seen.provenance.attempts, len(seen.provenance.rejections)) == (6, 5)


def test_a_pair_shows_one_side_and_where_the_two_part(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("42\n")), says(reply("", exit_code=0)))
    with simulating.session(
        "shell", "paired", simulator=model(strategy="grounded"), observe="simulated",
        init=["echo 42 > /srv/n"],
    ) as twin:  # fmt: skip
        same = twin.step("cat /srv/n")
        assert same.verdict is not None
        assert (same.verdict.verdict, same.text) == ("AGREES", "42\n")
        seen = twin.step("cat /srv/nope")
        assert seen.verdict is not None
        assert seen.verdict.verdict == "FALSE_SUCCESS"
        assert seen.verdict.evidence == (
            "real: exit status 1; simulated: exit status 0",
            "only real: cat: /srv/nope: No such file or directory",
        )
        assert (seen.text, seen.provenance.backend) == ("", "simulated")
        assert seen.counterpart is not None
        assert seen.counterpart.text == "cat: /srv/nope: No such file or directory\n"
        assert seen.counterpart.provenance.backend == "real"
        assert twin.exec(["cat", "/srv/n"]).stdout == b"42\n"
    assert "/srv/nope: No such" not in json.dumps(endpoint.requests)  # the real side stays apart


def test_the_error_of_a_pair_says_which_side_failed(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.otherwise = says(None, refusal="no")
    with simulating.session("shell", "paired", simulator=model(), observe="simulated") as twin:
        with pytest.raises(plumb_client.ModelFailed, match="the simulated side failed") as caught:
            twin.step("ls")
        assert (caught.value.reason, caught.value.side) == ("MODEL_REFUSED", "simulated")
    with simulating.session("shell", "paired", simulator=model()) as twin:
        seen = twin.step("echo hi")
        assert seen.text == "hi\n"
        assert seen.verdict is not None
        assert seen.verdict.verdict == "BACKEND_FAILURE"
        assert seen.verdict.evidence[0].startswith("simulated: ModelRefused: ")


def test_a_recording_can_be_the_simulated_side(simulating: plumb_client.Plumb) -> None:
    turns = [RecordedTurn("echo hi", "hello\n", exit_code=0)]
    with simulating.session("shell", "paired", recordings=[turns], init=["touch /srv/x"]) as twin:
        seen = twin.step("echo hi")
        assert seen.text == "hi\n"
        assert seen.verdict is not None
        assert seen.verdict.verdict == "WRONG_VALUE"


def test_a_baseline_needs_no_endpoint(plumb: plumb_client.Plumb) -> None:
    with plumb.session(
        "mysql", "paired", simulator={"model": "baseline:sqlite"},
        init=["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (2), (1)"],
    ) as twin:  # fmt: skip
        seen = twin.step("SELECT SUM(a) AS s FROM t WHERE a > 5")
        assert seen.verdict is not None
        assert seen.counterpart is not None
        assert seen.counterpart.provenance.model == "baseline:sqlite"
        assert twin.step("SELECT nope FROM t").verdict is not None


def test_calls_tokens_rejections_and_verdicts_are_counted(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(says("broken"), says(reply("hi\n")), fails(401))
    with simulating.session("shell", "paired", simulator=model()) as twin:
        twin.step("echo hi")
        twin.step("echo hi")
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics") as response:
        metrics = response.read().decode()
    assert 'plumb_model_calls_total{model="m",outcome="replied"}' in metrics
    assert 'plumb_model_calls_total{model="m",outcome="ModelUnauthorized"}' in metrics
    assert 'plumb_model_tokens_total{direction="prompt",model="m"}' in metrics
    assert 'plumb_model_usd_total{model="m"}' in metrics
    assert 'plumb_model_rejections_total{model="m",why="malformed"}' in metrics
    assert 'plumb_verdicts_total{kind="shell",verdict="AGREES"}' in metrics
    assert 'plumb_verdicts_total{kind="shell",verdict="BACKEND_FAILURE"}' in metrics


def test_budgets_are_limits_of_the_server(
    start_server: StartServer, shared: Endpoint, endpoint: Endpoint
) -> None:
    server = start_server(
        OPENAI_API_KEY=KEY, OPENAI_BASE_URL=shared.url, PLUMB_SIMULATOR_SESSION_TOKENS="100"
    )
    with plumb_client.connect(server.address) as plumb:
        with plumb.session("shell", "simulated", simulator=model()) as shell:
            shell.step("ls")
            with pytest.raises(plumb_client.LimitReached) as caught:
                shell.step("ls")
        assert caught.value.limit == "PLUMB_SIMULATOR_SESSION_TOKENS"
        assert caught.value.reason == "BUDGET_SPENT"


def test_a_budget_of_money_wants_a_price(start_server: StartServer, shared: Endpoint) -> None:
    server = start_server(OPENAI_BASE_URL=shared.url, PLUMB_SIMULATOR_SERVER_USD="1")
    with (
        plumb_client.connect(server.address) as plumb,
        pytest.raises(plumb_client.InvalidInput, match="add the model to PLUMB_SIMULATOR_PRICES"),
        plumb.session("shell", "simulated", simulator=model()),
    ):
        pass


def test_a_session_recorded_on_one_server_is_replayed_on_another_without_an_endpoint(
    start_server: StartServer, endpoint: Endpoint, tmp_path: Path
) -> None:
    cassette = str(tmp_path / "cassette.jsonl")
    endpoint.script(says(reply("one\n")))
    common = {"PLUMB_SIMULATOR_CASSETTE": cassette}
    first = start_server("a", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url, **common)
    second = start_server("b", PLUMB_SIMULATOR_CASSETTE_MODE="replay", **common)
    for server, is_hit in ((first, False), (second, True)):
        with (
            plumb_client.connect(server.address) as plumb,
            plumb.session("shell", "simulated", simulator=model(), init=["touch /x"]) as shell,
        ):
            seen = shell.step("ls")
            assert (seen.text, seen.provenance.cassette_hit) == ("one\n", is_hit)
            if is_hit:
                with pytest.raises(plumb_client.NotRecorded, match="has no reply to this request"):
                    shell.step("other")


def test_a_strategy_of_one_s_own_is_a_file(
    start_server: StartServer, endpoint: Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "terse.md").write_text("<!-- terse v1: says little -->\nYou are $role\n\n$rules")
    server = start_server(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=endpoint.url,
                          PLUMB_SIMULATOR_STRATEGIES=str(tmp_path))  # fmt: skip
    with (
        plumb_client.connect(server.address) as plumb,
        plumb.session("shell", "simulated", simulator=model(strategy="terse")) as shell,
    ):
        assert shell.step("ls").provenance.strategy == "terse"
    assert endpoint.requests[0]["messages"][0]["content"].startswith("You are an interactive bash")


def test_ending_a_session_cuts_off_its_question(
    simulating: plumb_client.Plumb, endpoint: Endpoint, kit: type[Kit]
) -> None:
    endpoint.otherwise, _ = endpoint.held()
    endpoint.cut_off.clear()
    shell = simulating.session("shell", "simulated", simulator=model())
    with ThreadPoolExecutor(1) as thread:
        stepping = thread.submit(shell.step, "ls")
        kit.eventually(lambda: endpoint.running == 1)
        simulating.attach(shell.name).close()
        assert isinstance(stepping.exception(20), plumb_client.SessionNotFound)
    kit.eventually(endpoint.cut_off.is_set)


async def _as_printed(body: Body) -> Any:
    """Calls the interpreter, and answers with what that printed."""
    results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    if results:
        return await says(reply(f"{results[-1]}\n"))(body)
    return await calls({"code": body["messages"][-1]["content"]})(body)


def test_a_model_calls_an_interpreter_in_a_real_sandbox(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.begin(_as_printed)
    init = ["echo secret > /srv/n"]
    with simulating.session(
        "shell", "simulated", simulator=model(strategy="tools"), init=init
    ) as shell:
        seen = shell.step("import hashlib; print(hashlib.sha256(b'hello\\n').hexdigest())")
        assert seen.text == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\n"
        assert (seen.provenance.strategy, seen.provenance.tool_calls) == ("tools", 1)
        assert seen.provenance.prompt_tokens == 200
        assert seen.provenance.cost_usd == pytest.approx((200 * 10 + 20 * 100) / 1e6)
        hidden = shell.step("print(open('/srv/n').read())")
        assert "FileNotFoundError" in hidden.text
        assert "secret" not in hidden.text


def test_what_probes_and_failures_were_paid_is_told(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(says({"entries": [{"key": "cwd", "value": "/root"}]}))
    with simulating.session("shell", "simulated", simulator=model()) as shell:
        found = shell.probe("cwd")
        assert found == {"cwd": "/root"}
        assert found.provenance is not None
        assert (found.provenance.prompt_tokens, found.provenance.completion_tokens) == (100, 10)
        endpoint.begin(says(""))
        with pytest.raises(plumb_client.ModelFailed) as caught:
            shell.step("ls")
    asked = len(endpoint.requests)
    assert caught.value.metadata["prompt_tokens"] == str(100 * asked)
    assert float(caught.value.metadata["cost_usd"]) == pytest.approx(asked * 2000 / 1e6)
    with simulating.session("shell", "real") as shell:
        assert shell.probe("cwd").provenance is None


def test_a_model_may_say_that_an_action_was_interrupted(
    simulating: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply("a\n", ending="interrupted")), says(reply("130\n")))
    turn = RecordedTurn("sleep 9", "", 130, ending=Ending.INTERRUPTED)
    with simulating.session("shell", "simulated", simulator=model(teacher=[turn])) as shell:
        seen = shell.step("sleep 9")
        assert (seen.ending, seen.exit_code) == (Ending.INTERRUPTED, 130)
        shell.step("echo $?")
    [past] = [one for one in endpoint.requests[-1]["messages"] if one["role"] == "assistant"]
    assert json.loads(past["content"])["ending"] == "interrupted"
    schema = endpoint.requests[0]["response_format"]["json_schema"]["schema"]
    assert "interrupted" in schema["properties"]["ending"]["enum"]
