"""JournalService, DiagnosisService and CaptureGrounding, on a running server."""

from __future__ import annotations

import uuid

import pytest

import plumb_client

pytestmark = pytest.mark.docker


def test_a_session_is_journaled_while_it_lives_and_after_it_has_ended(
    plumb: plumb_client.Plumb,
) -> None:
    with plumb.session("shell", init=["echo 42 > /srv/n"], task="find n") as shell:
        shell.step("cat /srv/n")
        shell.step("false")
        name = shell.name
        assert name in {one.name for one in plumb.journaled_sessions(live=True).sessions}
    session, request = plumb.journaled_session(name)
    assert (session.live, session.steps, session.end_reason) == (False, 2, "it was deleted")
    assert (request.task, request.init) == ("find n", ("echo 42 > /srv/n",))
    page = plumb.journaled_steps(name)
    assert [step.action for step in page.steps] == ["cat /srv/n", "false"]
    seen = [step.observation for step in page.steps]
    assert [one and (one.text, one.exit_code) for one in seen] == [("42\n", 0), ("", 1)]
    assert name in {one.name for one in plumb.journaled_sessions(live=False).sessions}


def test_steps_come_by_the_page_and_tell_resets(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell") as shell:
        for number in range(3):
            shell.step(f"echo {number}")
        shell.reset()
        shell.step("echo 3")
        first = plumb.journaled_steps(shell.name, page_size=2)
        assert (len(first.steps), first.next_step_index) == (2, 3)
        rest = plumb.journaled_steps(shell.name, first=first.next_step_index)
        assert [(s.step_index, s.after_reset) for s in rest.steps] == [(3, False), (4, True)]
        assert rest.next_step_index == 0


def test_pairs_tell_their_verdicts_and_are_found_by_them(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell", "paired", simulator={"model": "baseline:always_empty"}) as twin:
        twin.step("true")
        twin.step("echo hi")
        page = plumb.journaled_sessions(kind="shell", backend="paired", verdict="EMPTY")
        assert page.total_size == len(page.sessions)
        session = next(one for one in page.sessions if one.name == twin.name)
    assert (session.model, session.first_divergence) == ("baseline:always_empty", 2)
    assert session.verdicts["EMPTY"] == 1
    assert plumb.journaled_sessions(kind="mysql", verdict="EMPTY").total_size == 0


def test_pages_of_sessions_go_on_where_the_last_one_ended(plumb: plumb_client.Plumb) -> None:
    made = []
    for _ in range(3):
        with plumb.session("shell") as shell:
            made.append(shell.name)
    first = plumb.journaled_sessions(page_size=2)
    assert [one.name for one in first.sessions] == made[:0:-1]
    second = plumb.journaled_sessions(page_size=1, page_token=first.next_page_token)
    assert [one.name for one in second.sessions] == made[:1]


def test_an_unknown_session_is_an_error_that_names_it(plumb: plumb_client.Plumb) -> None:
    name = f"sessions/{uuid.uuid4()}"
    for ask in (plumb.journaled_session, plumb.journaled_steps):
        with pytest.raises(plumb_client.SessionNotFound, match=name):
            ask(name)


@pytest.mark.parametrize("token", ["x", "2026 sessions/1", f"never sessions/{uuid.UUID(int=1)}"])
def test_a_page_token_of_ones_own_is_refused(plumb: plumb_client.Plumb, token: str) -> None:
    with pytest.raises(plumb_client.InvalidInput, match=r"page_token is .*next_page_token"):
        plumb.journaled_sessions(page_token=token)


def test_a_first_step_before_the_beginning_is_refused(plumb: plumb_client.Plumb) -> None:
    with pytest.raises(plumb_client.InvalidInput, match="first_step_index is -1"):
        plumb.journaled_steps(f"sessions/{uuid.uuid4()}", first=-1)


def test_a_diagnosis_names_what_the_server_stands_on(plumb: plumb_client.Plumb) -> None:
    findings = {finding.subject: finding for finding in plumb.diagnose()}
    assert findings["engine"].state == "well"
    assert findings["shell image"].state == "well"
    assert (findings["model"].state, bool(findings["model"].mend)) == ("missing", True)


def test_a_grounding_is_captured_and_what_is_volatile_is_marked(plumb: plumb_client.Plumb) -> None:
    captured = plumb.capture_grounding(
        "shell", init=["echo 42 > /srv/n; echo $RANDOM$RANDOM > /srv/r"]
    )
    state = {entry.key: entry for entry in captured.state}
    assert state["/srv/n"].fields["content"] == "42\n"
    assert "content" in state["/srv/r"].volatile
    assert [result.exit_code for result in captured.init_results] == [0]


def test_a_grounding_that_fails_is_an_error_that_says_where(plumb: plumb_client.Plumb) -> None:
    with pytest.raises(plumb_client.InitFailed) as failed:
        plumb.capture_grounding("shell", init=["true", "exit 3"])
    assert (failed.value.script, failed.value.exit_code) == (2, 3)
