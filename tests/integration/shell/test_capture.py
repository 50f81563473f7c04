"""A capture tells what the session's own shell has, and changes nothing of what it captures."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.conftest import MakeShell

from plumb_backends.environment import Action
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.snapshot import Snapshot

pytestmark = pytest.mark.asyncio(loop_scope="session")

BASHRC = r"""cat >> ~/.bashrc <<'END'
export GREETING='hello "you" $x'
plain=7
declare -a list=(one "two three")
alias gs='git status'
unalias ll
greet() { echo "hi $1"; }
shopt -s nullglob
set -o noclobber
HISTCONTROL=
END"""


async def act(shell: RealShell, text: str) -> str:
    return (await shell.step(Action(text.encode(), timeout=10.0))).text


def fields(seen: Snapshot, key: str) -> Mapping[str, str]:
    return {entry.key: entry.fields for entry in seen.entries}[key]


async def test_what_bashrc_sets_is_told(make_shell: MakeShell) -> None:
    seen = await (await make_shell(init=[BASHRC])).capture()
    greeting = fields(seen, "variable GREETING")
    assert greeting == {"value": 'hello "you" $x', "attributes": "exported"}
    assert fields(seen, "variable plain") == {"value": "7"}
    assert fields(seen, "variable list")["value"] == '([0]="one" [1]="two three")'
    assert fields(seen, "alias gs") == {"value": "'git status'"}
    assert fields(seen, "alias ll") == {"value": "(not set)"}
    assert 'echo "hi $1"' in fields(seen, "function greet")["content"]
    assert fields(seen, "shell option nullglob") == {"value": "on"}
    assert fields(seen, "shell option noclobber") == {"value": "on"}
    assert fields(seen, "variable HOME")["value"] == "/root"
    assert not any("plumb" in str(entry) for entry in seen.entries)


async def test_a_shell_as_the_image_has_it_tells_nothing_more(shell: RealShell) -> None:
    keys = [entry.key for entry in (await shell.capture()).entries]
    assert not [key for key in keys if key.startswith(("alias", "function", "shell option"))]


@pytest.mark.parametrize(
    "bashrc",
    ["alias printf=false declare=false", "printf() { :; }; declare() { :; }", "set -x", "set -eu",
     "exec 2>/dev/null", "IFS=x"],
)  # fmt: skip
async def test_a_hostile_bashrc_changes_no_turn(make_shell: MakeShell, bashrc: str) -> None:
    shell = await make_shell(init=[f"printf '%s\\nmine=1\\n' '{bashrc}' >> ~/.bashrc"])
    seen = await shell.capture()
    assert fields(seen, "variable mine")["value"] == "1"
    assert "well" in await act(shell, "echo well")


async def test_marks_of_an_action_s_own_hide_nothing(make_shell: MakeShell) -> None:
    shell = await make_shell(init=[BASHRC])
    key = "key=${PS0#*;C;}; key=${key%%;*}"
    mark = r"printf '\e]133;S;%s;%s\a' $key $__plumb_turn"
    seen = await act(shell, f"{key}; {mark}; echo shown; {mark}; {mark}; echo too")
    assert seen == "shown\ntoo\n"
    assert await act(shell, "echo well") == "well\n"
    assert fields(await shell.capture(), "variable plain") == {"value": "7"}


async def test_a_capture_changes_nothing_in_the_shell(make_shell: MakeShell) -> None:
    shell = await make_shell(init=[BASHRC])
    await act(shell, "sleep 100 & disown; false mark")
    before = await act(shell, 'echo "$? $_ $! $$"; history | tail -n 3')
    await act(shell, "(exit 3); : last")
    await shell.capture()
    first = await act(shell, "echo $_")
    assert first == "last\n"
    await act(shell, "(exit 3)")
    await shell.capture()
    after = await act(shell, 'echo "$? $!"; history | wc -l')
    status, job, lines = after.split()
    assert status == "3"
    assert job in before
    assert int(lines) == 6
    assert await act(shell, "compgen -A function | grep -v plumb; jobs") == "greet\n"


async def test_a_capture_leaves_all_times_as_they_are(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=["mkdir -p /srv/a/b; echo 1 > /srv/a/f; echo 2 > /etc/new; rm /etc/issue",
              "touch -a -d 2020-01-01 /srv/a/b /srv/a/f /srv/a /srv /etc/new /etc"]
    )  # fmt: skip
    look = "stat -c '%x %y %z %n' /srv/a/b /srv/a/f /srv/a /srv /etc/new /etc"
    before = await act(shell, look)
    await shell.capture()
    await shell.probe("files")
    assert await act(shell, look) == before
    assert before.count("2020-01-01") == 6


async def test_changed_added_and_deleted_paths_are_told_apart(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=[
            "rm /etc/issue; rm -r /usr/share/zoneinfo/Europe; mkdir /srv/new; : > /srv/new/f",
            "echo x >> /etc/profile; rm -r /etc/skel; mkdir /etc/skel; mv /usr/bin/tree /srv/moved",
            "ln /etc/shells /srv/link; chmod 600 /etc/shells; ln -s nowhere /srv/dangling",
        ]
    )
    files = (await shell.probe("files")).facts
    gone = {key for key, value in files.items() if value == "type deleted"}
    assert {"/etc/issue", "/usr/share/zoneinfo/Europe", "/usr/bin/tree"} <= gone
    assert not any(key.startswith("/usr/share/zoneinfo/Europe/") for key in gone)
    assert {key for key in gone if key.startswith("/etc/skel")} == {
        "/etc/skel/.bash_logout", "/etc/skel/.bashrc", "/etc/skel/.profile"
    }  # fmt: skip
    assert files["/srv/new"].startswith("type directory")
    assert files["/srv/dangling"] == "type link, target nowhere"
    assert "mode 600" in files["/etc/shells"]
    assert "mode 600" in files["/srv/link"]
    assert {"/etc/profile", "/srv/moved", "/srv/new/f"} <= files.keys()
    assert not {"/etc/hosts", "/.dockerenv", "/etc/mtab", "/srv"} & files.keys()


async def test_a_fresh_sandbox_has_no_changes(shell: RealShell) -> None:
    assert (await shell.probe("files")).facts == {}
