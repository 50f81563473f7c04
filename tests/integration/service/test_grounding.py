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


def check(command: str) -> Any:
    return says({"check": command})


def test_scripts_that_ran_are_given_with_the_state_that_they_left(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(
        world("set -eu\nmkdir /srv/logs; echo ERROR > /srv/logs/a", actions=("ls /srv", "wc -l x")),
        check("grep -q ERROR /srv/logs/a"),
    )
    made = plumb.generate_grounding("shell", "Count the errors.", "m")
    assert made.grounded
    assert made.init == ("set -eu\nmkdir /srv/logs; echo ERROR > /srv/logs/a",)
    assert made.actions == ("ls /srv", "wc -l x")
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
        check("cat /srv/needed"),
        world("echo 1 > /srv/needed"),
        check("cat /srv/needed"),
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
    endpoint.script(world("echo $RANDOM$RANDOM$RANDOM > /srv/r; echo 1 > /srv/s"), check("true"))
    made = plumb.generate_grounding("shell", "Look.", "m")
    state = {entry.key: entry for entry in made.state}
    assert "content" in state["/srv/r"].volatile
    assert state["/srv/r"].fields["content"] == ""
    assert state["/srv/s"].volatile == ()


def test_a_generated_script_cannot_hurt(
    plumb: plumb_client.Plumb, endpoint: Endpoint, server: Server, kit: type[Kit]
) -> None:
    worlds = [world("rm -rf --no-preserve-root / 2>/dev/null; true"), world(":(){ :|:& };:"),
              world("echo 1 > /srv/a")]  # fmt: skip

    async def answer(body: Body) -> Any:
        is_check = body["messages"][-1]["content"] == "Write the check."
        return await (check("test -s /srv/a") if is_check else worlds.pop(0))(body)

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
        world(table, actions=("SELECT * FROM orders",)),
        check("SELECT * FROM orders"),
        world(table, "INSERT INTO orders VALUES (1, 2.50)", actions=("SELECT 1",)),
        check("SELECT * FROM orders WHERE total > 1"),
    )
    made = plumb.generate_grounding("mysql", "Add up the orders.", "m", database="shop")
    assert made.grounded
    assert len(made.attempts) == 2
    assert "Empty set" in made.attempts[0].error
    state = {entry.key: entry.fields for entry in made.state}
    assert state["shop.orders holds"]["content"] == '[1, "2.50"]\n'


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
