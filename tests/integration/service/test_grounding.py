"""Groundings that a model writes, through the service: only what really ran is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.model_endpoint import KEY, Body, Endpoint, endpoint_in_a_thread, fails, says

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server


@pytest.fixture(scope="module")
def shared() -> Iterator[Endpoint]:
    with endpoint_in_a_thread() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared: Endpoint) -> Endpoint:
    shared.begin(says("unscripted"))
    return shared


@pytest.fixture(scope="module")
def server(shared: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from tests.integration.service.conftest import Server

    made = Server(
        tmp_path_factory.mktemp("grounding"),
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=shared.url,
        PLUMB_SIMULATOR_RETRIES="0",
    )
    yield made
    made.stop()


@pytest.fixture
def plumb(server: Server) -> Iterator[plumb_client.Plumb]:
    with plumb_client.connect(server.address) as connection:
        yield connection
        assert not connection.sessions()


def world(*scripts: str, actions: tuple[str, ...] = ("ls",)) -> Any:
    return says({"scripts": list(scripts), "actions": list(actions)})


def check(command: str, *, done: str = "", answer: str = "") -> Any:
    return says({"check": command, "done": done, "answer": answer})


def test_scripts_that_ran_are_given_with_the_state_that_they_left(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        world(
            "set -eu\nmkdir /srv/logs; echo ERROR > /srv/logs/a",
            actions=("ls /srv", "wc -l x", "grep -c ERROR /srv/logs/a"),
        ),
        check("grep -q ERROR /srv/logs/a", answer="1"),
    )
    made = plumb.generate_grounding("shell", "Count the errors.", "m")
    assert made.grounded
    assert made.init == ("set -eu\nmkdir /srv/logs; echo ERROR > /srv/logs/a",)
    assert made.actions == ("ls /srv", "wc -l x", "grep -c ERROR /srv/logs/a")
    assert made.check is not None
    assert (made.check.command, made.check.passed) == ("grep -q ERROR /srv/logs/a", True)
    state = {entry.key: entry for entry in made.state}
    assert state["/srv/logs/a"].fields["content"] == "ERROR\n"
    assert len(made.attempts) == 1
    assert (made.prompt_tokens, made.completion_tokens) == (200, 20)
    told = endpoint.requests[0]["messages"][0]["content"]
    assert "Count the errors." in told
    assert "shell: bash 5" in told  # the image card
    with plumb.session("shell", init=made.init) as shell:  # they are what a session takes
        assert shell.step("cat /srv/logs/a").text == "ERROR\n"


def test_a_real_error_is_told_the_model_and_every_attempt_is_given(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        says("no JSON"),
        world("true", "mkdir /no/such/dir"),
        world("touch /srv/other"),
        check("cat /srv/needed", answer="1"),
        world("echo 1 > /srv/needed", actions=("cat /srv/needed",)),
        check("cat /srv/needed", answer="1"),
    )
    made = plumb.generate_grounding("shell", "Read it.", "m")
    assert made.grounded
    first, second, third, fourth = made.attempts
    assert "not JSON" in first.error
    assert "init script 2 (mkdir /no/such/dir) ended with exit status 1" in second.error
    assert "cannot create directory" in second.error
    assert third.init == ("touch /srv/other",)
    assert third.check is not None
    assert not third.check.passed
    assert "No such file or directory" in third.check.output
    assert fourth.error == ""
    told = [request["messages"][-1]["content"] for request in endpoint.requests]
    assert "cannot create directory" in told[2]
    assert "This check failed:\ncat /srv/needed" in told[4]


def test_a_task_that_cannot_be_grounded_is_told_and_no_error(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.otherwise = world("exit 7")
    made = plumb.generate_grounding("shell", "Hopeless.", "m", rounds=2)
    assert not made.grounded
    assert (made.init, made.check, made.state) == ((), None, ())
    assert [attempt.init for attempt in made.attempts] == [("exit 7",)] * 2
    assert all("exit status 7" in attempt.error for attempt in made.attempts)


def test_what_differs_from_run_to_run_is_marked(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        world("echo $RANDOM$RANDOM$RANDOM > /srv/r; echo 1 > /srv/s", actions=("ls /srv",)),
        check("test -s /srv/r", answer="r"),
    )
    made = plumb.generate_grounding("shell", "Look.", "m")
    state = {entry.key: entry for entry in made.state}
    assert "content" in state["/srv/r"].volatile
    assert state["/srv/r"].fields["content"] == ""
    assert state["/srv/s"].volatile == ()


def test_a_generated_script_cannot_hurt(
    plumb: plumb_client.Plumb, endpoint: Endpoint, server: Server, kit: type[Kit]
) -> None:
    worlds = [world("rm -rf --no-preserve-root / 2>/dev/null; true"), world(":(){ :|:& };:"),
              world("echo 1 > /srv/a", actions=("rm /srv/a",))]  # fmt: skip

    async def answer(body: Body) -> Any:
        is_check = body["messages"][-1]["content"] == "Write the check."
        return await (
            check("test -s /srv/a", done="! test -e /srv/a") if is_check else worlds.pop(0)
        )(body)

    endpoint.otherwise = answer
    made = plumb.generate_grounding("shell", "Survive.", "m")
    assert made.grounded
    assert "the sandbox did not survive" in made.attempts[0].error
    with plumb.session("shell") as shell:
        assert shell.step("echo alive").text == "alive\n"
    kit.eventually(lambda: not server.containers())


def test_a_database_is_grounded_and_checked_by_a_query(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    table = "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(6,2))"
    endpoint.script(
        world(table, actions=("SELECT SUM(total) FROM orders",)),
        check("SELECT COUNT(*) > 0 FROM orders", answer="2.50"),
        world(
            table,
            "INSERT INTO orders VALUES (1, 2.50)",
            actions=("SELECT * FROM order", "SELECT SUM(total) FROM orders"),
        ),
        check("SELECT COUNT(*) > 0 FROM orders", answer="2.50"),
    )
    made = plumb.generate_grounding("mysql", "Add up the orders.", "m", database="shop")
    assert made.grounded
    assert len(made.attempts) == 2
    assert "|            0 |" in made.attempts[0].error  # a row is no yes
    state = {entry.key: entry.fields for entry in made.state}
    assert state["shop.orders holds"]["content"] == '[1, "2.50"]\n'


def test_a_check_that_passes_where_no_script_has_run_is_asked_for_again(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        world("echo 42 > /srv/n", actions=("cat /srv/n",)),
        check("true", answer="42"),
        check("test -d /srv", answer="42"),
        check("grep -q 42 /srv/n", answer="42"),
    )
    made = plumb.generate_grounding("shell", "Say the number.", "m")
    assert made.grounded
    assert made.check is not None
    assert made.check.command == "grep -q 42 /srv/n"
    told = [request["messages"][-1]["content"] for request in endpoint.requests[2:]]
    assert all("passes on a fresh machine" in one for one in told)
    assert "true" in told[0]
    assert "test -d /srv" in told[1]


def test_a_task_whose_checks_prove_nothing_is_refused_with_the_reason(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    commands = ["ls", "test -d /root && whoami", "! test -e /x"]
    endpoint.script(world("echo 42 > /srv/n"), *[check(one, answer="42") for one in commands])
    made = plumb.generate_grounding("shell", "Say the number.", "m", rounds=1)
    assert not made.grounded
    (attempt,) = made.attempts
    assert "the check passes on a fresh machine, on which no script has run" in attempt.error
    assert "! test -e /x" in attempt.error


def test_a_check_of_done_that_passes_at_once_proves_nothing(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        world("echo 42 > /srv/n", actions=("cp /srv/n /srv/m",)),
        check("test -s /srv/n", done="test -s /srv/n"),
        check("test -s /srv/n"),
        check("test -s /srv/n", done="cmp /srv/n /srv/m"),
    )
    assert plumb.generate_grounding("shell", "Copy n to m.", "m").grounded
    told = [request["messages"][-1]["content"] for request in endpoint.requests[2:]]
    assert "`done` passes before any action" in told[0]
    assert "`done` and `answer` are both empty" in told[1]


def test_actions_that_do_not_reach_the_task_are_written_again(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    made_so = "echo 42 > /srv/n"
    done = "cmp /srv/n /srv/m"
    endpoint.script(
        world(made_so, actions=("cat /srv/m", "cp /srv/m /srv/n")),
        check("test -s /srv/n", done=done),
        world(made_so, actions=("cat /srv/m", "cp /srv/n /srv/m")),
        check("test -s /srv/n", done=done),
    )
    made = plumb.generate_grounding("shell", "Copy n to m.", "m")
    assert made.grounded
    assert made.actions == ("cat /srv/m", "cp /srv/n /srv/m")
    assert "the actions do not complete the task" in made.attempts[0].error
    assert "cp: cannot stat '/srv/m'" in endpoint.requests[2]["messages"][-1]["content"]
    assert {entry.key for entry in made.state if entry.key.startswith("/srv/")} == {"/srv/n"}


def test_a_query_that_says_no_in_a_row_does_not_pass(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    made_so = "CREATE TABLE t (a INT, b BIT(1)); INSERT INTO t VALUES (1, 1), (2, 1)"
    actions = ("SELECT SUM(a) FROM nope", "SELECT SUM(a) FROM t")
    endpoint.script(
        world(made_so, actions=actions),
        check("SELECT COUNT(*) > 1000 FROM t", answer="3"),
        world(made_so, actions=actions),
        check("SELECT 1", answer="3"),  # passes without a script, too
        check("SELECT SUM(a) = 3, MAX(b) FROM t", answer="3"),
    )
    made = plumb.generate_grounding("mysql", "Add up.", "m")
    assert made.grounded
    assert made.check is not None
    assert made.check.command == "SELECT SUM(a) = 3, MAX(b) FROM t"
    assert "COUNT(*) > 1000" in made.attempts[0].error
    assert "SELECT 1" in endpoint.requests[4]["messages"][-1]["content"]


def test_a_model_that_fails_is_an_error(plumb: plumb_client.Plumb, endpoint: Endpoint) -> None:
    endpoint.script(fails(401))
    with pytest.raises(plumb_client.ModelFailed) as caught:
        plumb.generate_grounding("shell", "x", "m")
    assert caught.value.reason == "MODEL_UNAUTHORIZED"


@pytest.mark.parametrize(
    ("kind", "task", "model", "options", "says_so"),
    [
        ("nope", "x", "m", {}, "there is no kind 'nope'"),
        ("shell", " ", "m", {}, "task is empty; say what"),
        ("shell", "x", "", {}, "model is empty; name"),
        ("shell", "x", "m", {"rounds": 6}, "rounds is 6; use 1 to 5"),
        ("shell", "x", "m", {"temperature": 3.0}, "temperature is 3; use 0 to 2"),
        ("shell", "x", "m", {"database": "d"}, "does not apply to kind 'shell'"),
        ("shell", "x" * 70_000, "m", {}, "task has 70000 bytes"),
    ],
)
def test_bad_input_is_one_sentence_with_the_mend(
    plumb: plumb_client.Plumb, kind: str, task: str, model: str, options: Any, says_so: str
) -> None:
    with pytest.raises(plumb_client.InvalidInput, match=says_so):
        plumb.generate_grounding(kind, task, model, **options)
