"""Comparisons through the service: both sides played, every step judged, the report kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.model_endpoint import KEY, Endpoint, endpoint_in_a_thread, fails, says

import plumb_client
from plumb_client import ComparedStep, RecordedTurn, Report

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
        tmp_path_factory.mktemp("fidelity"),
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


def said(output: str, exit_code: int = 0) -> Any:
    return says({"output": output, "exit_code": exit_code, "cwd": "/root", "seconds": 0})


def recorded(*turns: tuple[str, str, int | None]) -> Any:
    return [[RecordedTurn(action, text, code) for action, text, code in turns]]


def split(events: list[ComparedStep | Report]) -> tuple[list[ComparedStep], Report]:
    *steps, report = events
    assert isinstance(report, Report)
    return [step for step in steps if isinstance(step, ComparedStep)], report


def test_every_step_of_a_recording_is_judged_and_the_report_is_kept(
    plumb: plumb_client.Plumb, server: Server
) -> None:
    turns = recorded(
        ("cat /srv/n", "42\n", 0),
        ("ls -l /srv/n", "-rw-r--r-- 1 root root 99 Jan 2 2021 /srv/n", 0),
        ("date", "Mon Jan  6 09:00:00 UTC 2025", 0), ("cat /srv/x", "hello\n", 0),
    )  # fmt: skip
    actions = [turn.action for turn in turns[0]]
    steps, report = split(
        list(
            plumb.compare("shell", actions, init=["echo 42 > /srv/n"], recordings=turns, replicas=3)
        )
    )
    assert not server.containers()
    verdicts = [step.verdict.verdict for step in steps]
    # The clock differs between runs or is of now, and 99 is wrong among volatile dates.
    assert verdicts[0] == "AGREES"
    assert verdicts[1] == "WRONG_VALUE"
    assert verdicts[2] in ("VOLATILE_ONLY", "UNSCORABLE")
    assert verdicts[3] == "FALSE_SUCCESS"
    assert any("99" in line for line in steps[1].verdict.evidence)
    assert steps[1].verdict.aligned[0][2] == "wrong"
    assert steps[3].real.exit_code == 1
    assert (report.steps, report.replicas, report.first_divergence) == (4, 3, 2)
    assert report.agreeing_steps + 2 == report.scored_steps
    assert sum(report.verdicts.values()) == 4

    kept, its_steps = plumb.report(report.name)
    assert kept == report
    assert [step.verdict for step in its_steps] == [step.verdict for step in steps]
    assert plumb.reports()[0] == report


def test_a_model_that_fails_fails_its_step_and_the_comparison_goes_on(
    plumb: plumb_client.Plumb, endpoint: Endpoint
) -> None:
    endpoint.script(said("a\n"), fails(500), said("c\n"))
    steps, report = split(
        list(
            plumb.compare(
                "shell", ["echo a", "echo b", "echo c"], replicas=1,
                simulator={"model": "m", "strategy": "naive"},
            )
        )
    )  # fmt: skip
    assert [step.verdict.verdict for step in steps] == ["AGREES", "BACKEND_FAILURE", "AGREES"]
    assert steps[1].simulated is None
    assert "ModelUnavailable" in steps[1].verdict.evidence[0]
    assert (report.model, report.strategy) == ("m", "naive")
    assert (report.steps, report.scored_steps, report.agreeing_steps) == (3, 2, 2)
    assert report.first_divergence is None


def test_a_baseline_plays_mysql(plumb: plumb_client.Plumb) -> None:
    steps, report = split(
        list(
            plumb.compare(
                "mysql", ["SELECT a FROM t", "SELECT * FROM nope"], database="shop",
                init=["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1), (2)"],
                simulator={"model": "baseline:sqlite"}, replicas=2,
            )
        )
    )  # fmt: skip
    assert steps[0].verdict.verdict in ("AGREES", "AGREES_BUT_LAYOUT")
    assert steps[1].real.errno == 1146
    assert report.kind == "mysql"


def test_who_goes_away_leaves_nothing_behind(
    plumb: plumb_client.Plumb, server: Server, kit: Kit
) -> None:
    events = plumb.compare(
        "shell", ["echo a", "sleep 30", "echo b"], replicas=2,
        simulator={"model": "baseline:always_empty"},
    )  # fmt: skip
    assert isinstance(next(events), ComparedStep)
    before = server.containers()  # the MySQL server of another test may be among them
    assert len(before) >= 2
    events.close()  # type: ignore[attr-defined]
    kit.eventually(lambda: len(server.containers()) <= len(before) - 2)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"actions": []}, "there are 0 actions; give 1 to 1000"),
        ({"replicas": 11}, "replicas is 11; use 1 to 10"),
        ({"simulator": None}, "there is no simulated side; give either simulator or replay"),
        ({"kind": "web"}, "web"),
        ({"timeout": 601}, "timeout"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_runs(
    plumb: plumb_client.Plumb, fields: dict[str, Any], sentence: str
) -> None:
    options: dict[str, Any] = {"simulator": {"model": "baseline:always_empty"}, **fields}
    if options["simulator"] is None:
        del options["simulator"]
    kind, actions = options.pop("kind", "shell"), options.pop("actions", ["ls"])
    with pytest.raises(plumb_client.InvalidInput, match=sentence):
        list(plumb.compare(kind, actions, **options))


def test_a_report_that_there_is_not_is_not_found(plumb: plumb_client.Plumb) -> None:
    with pytest.raises(plumb_client.ReportNotFound, match="there is no report 'reports/x'"):
        plumb.report("reports/x")


def test_a_pair_with_replicas_tells_what_is_volatile(plumb: plumb_client.Plumb) -> None:
    action = 'sleep 0.5; echo "$RANDOM is one of many numbers"; cat /srv/n'
    answers = recorded(
        (action, "7 is one of many numbers\n42\n", 0),
        (f"{action} ", "7 is one of many numbers\n43\n", 0),
    )
    with plumb.session(
        "shell", "paired", recordings=answers, replicas=3, init=["echo 42 > /srv/n"]
    ) as twin:  # fmt: skip
        right = twin.step(action)
        assert right.verdict is not None
        assert right.verdict.verdict == "VOLATILE_ONLY"
        wrong = twin.step(f"{action} ")
        assert wrong.verdict is not None
        assert wrong.verdict.verdict == "WRONG_VALUE"
        assert [line for line in wrong.verdict.evidence if "43" in line]


@pytest.mark.parametrize(
    ("action", "recording"),
    [
        ("exit 4", ("exit 4", "exit\n", 4)),
        ("bash -c 'kill -9 $$'", ("bash -c 'kill -9 $$'", "Killed\n", 137)),
        ("set -e; false", ("set -e; false", "", 1)),
        ("uname -a; cat /srv/n", ("uname -a; cat /srv/n", "Linux sandbox 5.4 x86_64\n42\n", 0)),
    ],
)
def test_a_recording_is_held_to_what_it_can_say(
    plumb: plumb_client.Plumb, action: str, recording: tuple[str, str, int]
) -> None:
    with plumb.session(
        "shell", "paired", recordings=recorded(recording), init=["echo 42 > /srv/n"]
    ) as twin:
        seen = twin.step(action)
        assert seen.verdict is not None
        verdict = seen.verdict.verdict
        assert verdict in ("AGREES", "VOLATILE_ONLY"), (seen, seen.verdict.evidence)
