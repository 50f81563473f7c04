"""Text of others on the operator's terminal: it is shown, and steers nothing."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest

from plumb_bench.labels import visible
from plumb_cli import doctor, shell
from plumb_cli.__main__ import main
from plumb_cli.visible import say
from plumb_client import InvalidInput, Verdict
from plumb_server.diagnosis import Finding, State

HOSTILE = "a\x1b]52;c;dGFrZW4=\x07b\x9b31mc\rd\ne\u202ef\x7f\ud800[/]x[red]:smile:"
SHOWN = "a\\x1b]52;c;dGFrZW4=\\x07b\\x9b31mc\\rd\\ne\\u202ef\\x7f\\ud800[/]x[red]:smile:"
_STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_what_steers_is_written_out() -> None:
    assert visible(HOSTILE) == SHOWN


@pytest.mark.parametrize("text", ["", "plain", "Größe", "日本語", "👩\u200d💻", "[/]x"])
def test_what_does_not_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert visible("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_it_goes_to_where_it_is_told_to() -> None:
    out = io.StringIO()
    say("a\nb\x1b[2J", out)
    assert out.getvalue() == "a\nb\\x1b[2J\n"


def observation(**changes: Any) -> Any:
    """What is shown of one."""
    usual = {"text": "", "verdict": None, "counterpart": None, "user": "", "host": "", "cwd": ""}
    return SimpleNamespace(**usual | changes)


def test_the_prompt_of_a_shell_shows_a_hostile_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) == 2:
            raise EOFError
        return "ls"

    monkeypatch.setattr("builtins.input", ask)
    prompt = shell.Prompt("shell")
    for _ in prompt.actions():
        prompt.follow(observation(user=HOSTILE, host=HOSTILE, cwd=HOSTILE))
    assert asked == ["shell> ", f"{SHOWN}@{SHOWN}:{SHOWN}# "]


def test_the_other_side_of_a_pair_and_its_evidence_steer_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict("WRONG_VALUE\x1b[2J", (), (HOSTILE,), ())
    other = observation(text=f"{HOSTILE}\n", provenance=SimpleNamespace(backend="sim\x1bulated"))
    shell._show_verdict(observation(verdict=verdict, counterpart=other))
    printed = capsys.readouterr().out
    assert not _STEERS.search(printed.replace("\r", "").replace("\x07", ""))
    assert f"  {SHOWN}\n" in printed


def test_an_error_that_quotes_somebody_steers_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise InvalidInput(f"wrong: {HOSTILE}")

    monkeypatch.setattr("plumb_cli.shell.run", fail)
    assert main(["shell"]) == 1
    assert not _STEERS.search(capsys.readouterr().err)


def test_doctor_shows_what_others_said_of_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def look(*_: object) -> list[Finding]:
        return [Finding(HOSTILE, State.BROKEN, HOSTILE, HOSTILE)]

    monkeypatch.setattr(doctor, "_look", look)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert not _STEERS.search(printed)
    assert len(printed.splitlines()) == 2
