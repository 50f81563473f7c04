"""The contract with users: what the design's snippet says, on a real server and real shells."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import plumb_client
from plumb_client import Ending

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server


def test_the_snippet_of_the_design_does_what_it_says(server: Server) -> None:
    with plumb_client.connect(server.address) as plumb:
        with plumb.session(
            "shell", backend="real", init=["mkdir -p /srv && echo 42 > /srv/n"]
        ) as shell:
            seen = shell.step("cat /srv/n", timeout=60)
            assert seen.text.rstrip("\n") == "42"
            assert seen.exit_code == 0
            assert seen.ending is Ending.EXITED
            assert b"cat /srv/n" in seen.raw
            assert b"\x1b]0;" in seen.raw
            assert seen.cwd == "/root"
            assert seen.provenance.backend == "real"
            out = shell.exec(["wc", "-c", "/srv/n"])
            assert (out.stdout, out.stderr, out.exit_code) == (b"3 /srv/n\n", b"", 0)
            assert [result.exit_code for result in shell.init_results] == [0]
        assert plumb.sessions() == []
    assert not server.containers()


async def test_the_snippet_does_the_same_for_asyncio(server: Server) -> None:
    async with plumb_client.aio.connect(server.address) as plumb:
        async with plumb.session("shell", init=["mkdir -p /srv && echo 42 > /srv/n"]) as shell:
            seen = await shell.step("cd /srv; cat n; false")
            assert (seen.text.rstrip("\n"), seen.exit_code, seen.cwd) == ("42", 1, "/srv")
        assert await plumb.sessions() == []


def test_a_failed_command_is_an_observation(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell") as shell:
        seen = shell.step("nope")
        assert seen.exit_code == 127
        assert seen.text.strip() == "bash: nope: command not found"


def test_what_a_server_can_make_is_listed(plumb: plumb_client.Plumb) -> None:
    (shell,) = [kind for kind in plumb.kinds() if kind.name == "shell"]
    assert "cwd" in shell.probe_suites
    (real,) = [backend for backend in shell.backends if backend.name == "real"]
    assert real.can_exec
    assert real.can_interrupt
    assert real.can_stream


def test_a_session_is_usable_from_another_connection(
    server: Server, plumb: plumb_client.Plumb
) -> None:
    with plumb.session("shell") as shell:
        shell.step("x=1")
        with plumb_client.connect(server.address) as other:
            again = other.attach(shell.name)
            assert again.step("echo $x").text.strip() == "1"
            assert again.info().last_step_index == 2
            assert [info.name for info in other.sessions()] == [shell.name]


def test_a_reset_goes_back_to_the_grounded_state_and_step_numbers_go_on(
    server: Server, plumb: plumb_client.Plumb
) -> None:
    with plumb.session("shell", init=["echo 42 > /srv/n"]) as shell:
        shell.step("echo 43 > /srv/n; touch /srv/new; x=1; cd /")
        before = server.containers()
        shell.reset()
        seen = shell.step("echo $x; pwd; ls /srv; cat /srv/n")
        assert seen.text.split() == ["/root", "n", "42"]
        assert seen.step_index == 2
        assert server.containers().isdisjoint(before)


def test_a_failing_init_script_is_told_and_leaves_nothing(
    server: Server, plumb: plumb_client.Plumb
) -> None:
    before = server.containers()
    with pytest.raises(plumb_client.InitFailed) as caught:
        plumb.session("shell", init=["true", "echo out; echo why >&2; exit 3"])
    assert (caught.value.script, caught.value.exit_code) == (2, 3)
    assert caught.value.tail == "why"
    assert plumb.sessions() == []
    assert server.containers() == before


def test_a_failing_init_script_that_says_very_much_is_told_too(plumb: plumb_client.Plumb) -> None:
    with pytest.raises(plumb_client.InitFailed) as caught:
        plumb.session("shell", init=["printf 'ä%.0s' {1..20000} >&2; echo the end >&2; exit 9"])
    assert caught.value.exit_code == 9
    assert caught.value.tail.endswith("the end")


def test_tolerated_init_failures_are_in_the_results(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell", init=["exit 3", "true"], tolerate_init_failures=True) as shell:
        assert [result.exit_code for result in shell.init_results] == [3, 0]


def test_output_is_streamed_as_it_appears_and_the_observation_comes_last(
    plumb: plumb_client.Plumb,
) -> None:
    with plumb.session("shell") as shell:
        # The second half waits for a file that is made only when the first half was seen.
        stream = shell.stream("echo one; until [ -e /tmp/go ]; do sleep 0.05; done; echo two")
        seen = b""
        for piece in stream:
            seen += piece
            if b"one" in seen and b"two" not in seen:
                assert shell.exec(["touch", "/tmp/go"]).exit_code == 0
        assert seen.replace(b"\r", b"") == b"one\ntwo\n"
        assert stream.observation.text.split() == ["one", "two"]
        assert stream.observation.step_index == 1
        assert shell.step("echo three").step_index == 2


def test_a_stream_that_is_left_early_interrupts_its_action(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell") as shell:
        stream = shell.stream("echo one; sleep 600")
        for _ in stream:
            break
        assert stream.observation.ending is Ending.INTERRUPTED
        assert stream.observation.text.startswith("one")
        seen = shell.step("echo next")
        assert (seen.text.strip(), seen.step_index) == ("next", 2)


async def test_a_step_that_is_given_up_goes_on_and_the_next_says_so_until_it_has_ended(
    server: Server,
) -> None:
    async with (
        plumb_client.aio.connect(server.address) as plumb,
        plumb.session("shell") as shell,
    ):
        action = "touch /tmp/begun; sleep 600; echo done"
        step = asyncio.create_task(shell.step(action))
        while (await shell.exec(["test", "-e", "/tmp/begun"])).exit_code:
            pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(step, 0.1)
        for again in (action, "echo next"):  # the same text is another step, too
            with pytest.raises(plumb_client.StepInProgress, match=r"wait for it,? or interrupt it"):
                await shell.step(again)
        assert await shell.interrupt()
        seen = await shell.step("echo next")
        assert (seen.text.strip(), seen.step_index) == ("next", 2)


def test_after_an_interrupt_the_next_step_works_at_once(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell") as shell, ThreadPoolExecutor(1) as pool:
        for turn in range(3):
            begun = f"/tmp/begun{turn}"
            waiting = pool.submit(shell.step, f"touch {begun}; sleep 600")
            while shell.exec(["test", "-e", begun]).exit_code:
                pass
            assert shell.interrupt() is True
            other = plumb.attach(shell.name)
            assert other.step("echo next").text == "next\n"
            assert waiting.result(60).ending is Ending.INTERRUPTED
            shell.info()
            with pytest.raises(plumb_client.OutOfOrder):
                shell.step("true")  # the other took a step: this caller is told, once
            assert shell.step("true").exit_code == 0


def test_of_two_callers_none_gets_the_other_s_answer(plumb: plumb_client.Plumb) -> None:
    action = "echo $((++N))"
    with plumb.session("shell") as shell, plumb.agent_session(shell.name) as agent:
        assert shell.step(action).text == "1\n"
        assert agent.step(action).text == "2\n"
        with pytest.raises(plumb_client.OutOfOrder):
            shell.step(action)
        assert shell.step(action).text == "3\n"


def test_one_text_for_a_sequence_is_refused_before_it_is_sent(plumb: plumb_client.Plumb) -> None:
    init: Any = "echo hi"
    with pytest.raises(plumb_client.InvalidInput, match="init is one text, 'echo hi'; give a list"):
        plumb.session("shell", init=init)
    with plumb.session("shell") as shell:
        with pytest.raises(plumb_client.InvalidInput, match="argv is one text, 'ls'; give a list"):
            shell.exec("ls")
        with pytest.raises(plumb_client.InvalidInput):
            shell.exec(["cat"], stdin=b"x" * 50 * 1024**2)
        assert shell.step("true").step_index == 1


def test_an_interrupt_stops_the_action_and_keeps_the_shell(plumb: plumb_client.Plumb) -> None:
    with plumb.session("shell") as shell, ThreadPoolExecutor(1) as pool:
        assert shell.interrupt() is False
        shell.step("x=kept")
        waiting = pool.submit(shell.step, "echo begun; touch /tmp/begun; sleep 600")
        while shell.exec(["test", "-e", "/tmp/begun"]).exit_code:
            pass
        assert shell.interrupt() is True
        seen = waiting.result(30)
        assert seen.ending is Ending.INTERRUPTED
        assert seen.text.startswith("begun")
        assert shell.step("echo $x").text.strip() == "kept"


def test_an_action_at_its_timeout_is_an_observation_with_what_it_printed(
    plumb: plumb_client.Plumb,
) -> None:
    with plumb.session("shell") as shell:
        seen = shell.step("echo partial; sleep 600", timeout=6)
        assert seen.ending is Ending.TIMED_OUT
        assert seen.text.startswith("partial")


def test_the_same_request_id_from_many_at_once_is_one_session(
    server: Server, plumb: plumb_client.Plumb
) -> None:
    before = server.containers()
    start = threading.Barrier(8)

    def make(_: int) -> plumb_client.Session:
        start.wait()
        return plumb.session("shell", request_id="one-of-eight")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert len({session.name for session in made}) == 1
    assert len(server.containers() - before) == 1
    made[0].close()
    assert server.containers() == before


def test_after_a_lost_sandbox_a_reset_makes_the_session_usable_again(
    server: Server, plumb: plumb_client.Plumb
) -> None:
    import docker

    before = server.containers()
    with plumb.session("shell", init=["echo 42 > /srv/n"]) as shell:
        (container,) = server.containers() - before
        engine = docker.from_env()
        engine.api.remove_container(container, force=True)
        engine.close()
        for _ in range(2):
            with pytest.raises(plumb_client.SandboxUnavailable):
                shell.step("cat /srv/n")
        assert shell.info().state == "broken"
        shell.reset()
        assert shell.info().state == "ready"
        assert shell.step("cat /srv/n").text.strip() == "42"
