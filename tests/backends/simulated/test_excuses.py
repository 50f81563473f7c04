"""What a reply quotes from its world is no break of character; what it says of itself is one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.backends.simulated.conftest import Played
from tests.model_endpoint import Endpoint, says

from plumb_backends.environment import Action, Observation
from plumb_backends.simulated.excuses import unexcused
from plumb_backends.simulated.stage import Stage
from plumb_backends.simulated.world import World
from plumb_fidelity.breaks import Break, find_breaks

PROMPT = r"root@sandbox:[^\s#$]{0,512}+[#$] ?"
MAIL = "I'm sorry for the late reply.\nThe figures are below.\n"
README = "```bash\nmake install\nmake test\n```"

WORLD_HOLDS = {
    "a mail": ("cat mail.txt", MAIL, f"cat > mail.txt <<'E'\n{MAIL}E"),
    "a quoted mail": ("cat m", MAIL, r"printf 'I'\''m sorry for the late reply.\nThe' > m"),
    "an escaped mail": ("cat m", MAIL, r'echo "I\'m sorry for the late reply." > m'),
    "an offer": ("tail -1 n", "Let me know if it breaks.\n", "echo Let me know if it breaks. > n"),
    "a manual": ("head -1 m", "This command will remove all.\n", "echo This command will remove "
                 "all. > m"),
    "a note": ("cat n", "Note that this is old.\n", "printf 'Note that this is old.\\n' > n"),
    "a notice": ("cat n", "Please note: the server is down.\n", "echo 'Please note: the server is "
                 "down.' > n"),
    "a promise": ("cat n", "I will run it.\n", "echo 'I will run it.' >> n"),
    "an answer": ("cat n", "Certainly! Yours, A.\n", "echo 'Certainly! Yours, A.' > n"),
    "a fence": ("cat README.md", README, f"cat > README.md <<'E'\n{README}\nE"),
    "a fence by printf": ("cat R", README, r"printf '```bash\nmake install\nmake test\n```' > R"),
    "a prompt in a log": ("cat log", "root@sandbox:/srv# rm -rf /\n",
                          "echo 'root@sandbox:/srv# rm -rf /' > log"),
    "a script that shows itself": ("cat run me", "cat run me\necho b\n", "printf 'x\\n' > a\n"
                                   "cat run me\n"),
}  # fmt: skip

TYPED_BEFORE = {
    "a commit": ('git commit -m "Sure! Fix it"', "git log -1 --format=%s", "Sure! Fix it\n"),
    "a row": ("echo 'I cannot do that' > n", "cat n", "I cannot do that\n"),
    "an input that is shown": ("set -v", "ls -l /srv", "ls -l /srv\ntotal 0\n"),
    "an input that is shown by option": ("set -o verbose", "ls -l /x", "ls -l /x\ntotal 0\n"),
}


def broken(output: str, action: str, *known: str) -> list[Break]:
    found = find_breaks(output, action, prompt=PROMPT)
    assert found, "this is no break, and nothing is tried"
    return unexcused(found, output, action, known)


@pytest.mark.parametrize("name", WORLD_HOLDS)
def test_what_the_scripts_wrote_is_no_break(name: str) -> None:
    action, output, script = WORLD_HOLDS[name]
    assert broken(output, action, script) == []
    assert broken(output, action, "touch /srv/other") != []


@pytest.mark.parametrize("name", TYPED_BEFORE)
def test_what_was_typed_before_is_no_break(name: str) -> None:
    before, action, output = TYPED_BEFORE[name]
    assert broken(output, action, before) == []
    assert broken(output, action, "ls") != []


@pytest.mark.parametrize(
    ("output", "known"),
    [
        ("I'm sorry, I cannot do that.", "cat > mail <<E\nI'm sorry for the late reply.\nE"),
        ("```\na.txt\n```", README),
        ("```bash\nmake clean\n```", README),
        ("This command creates a file.", "# this command line creates files"),
        ("Sure! Here you are.", "echo 'Sure! Fix it'"),
        ("root@sandbox:~# ls", "echo root@sandbox"),
        ("Note that this is only an example.", "Note that this is old."),
    ],
)
def test_what_only_resembles_the_world_is_one_all_the_same(output: str, known: str) -> None:
    assert broken(output, "cat x", known) != []


@pytest.mark.parametrize("action", ["help", "HELP", "\\h", "?", "help select", "status;", "\\s",
                                    "SELECT 1; help"])  # fmt: skip
def test_what_the_client_itself_answers_is_no_table(action: str) -> None:
    output = "For information about MySQL products and services, visit:\n   http://www.mysql.com/"
    found = find_breaks(output, action, is_table=True)
    assert [one.name for one in found] == ["table"]
    assert unexcused(found, output, action, ()) == []
    assert unexcused(found, output, "SELECT help FROM t", ()) != []


def test_a_long_past_is_looked_through_once() -> None:
    past = ["'" * 100_000 + "I'm " * 100_000] * 20
    began = time.perf_counter()
    assert broken(MAIL, "cat m", *past) != []
    assert time.perf_counter() - began < 20


# In a session.


def reply(output: str) -> dict[str, Any]:
    return {"output": output, "exit_code": 0, "cwd": "/root", "seconds": 0}


async def step(stage: Stage, text: str) -> Observation:
    return await asyncio.wait_for(stage.step(Action(text.encode())), 20)


@pytest.mark.parametrize("strategy", ["naive", "grounded"])
async def test_a_mail_is_taken_at_once_and_so_is_its_copy(
    played: Played, endpoint: Endpoint, strategy: str
) -> None:
    endpoint.otherwise = says(reply(MAIL))
    world = World(task="t", scripts=[f"cat > /srv/mail <<'E'\n{MAIL}E"])
    seen = await step(played.stage(world=world, strategy=strategy), "cat /srv/mail")
    assert (seen.text, seen.provenance.attempts, seen.provenance.flags) == (MAIL, 1, ())


async def test_what_was_read_or_captured_before_may_be_read_again(
    played: Played, endpoint: Endpoint
) -> None:
    endpoint.script(says(reply(f"From: a\n{MAIL}Bye")), says(reply(MAIL)))
    stage = played.stage()
    await step(stage, "cat box")
    assert (await step(stage, "sed -n 2,3p box")).provenance.attempts == 1
    world = World(task="t", state="/srv/mail: file\n    | Let me know if it works.\n")
    endpoint.script(says(reply("Let me know if it works.\n")))
    assert (await step(played.stage(world=world), "cat /srv/mail")).provenance.attempts == 1
