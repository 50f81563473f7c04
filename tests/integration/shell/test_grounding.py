"""What init scripts do, the traps of published ones among them, and what is captured after them."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.conftest import MakeShell

from plumb_backends.environment import Action, Program, ProgramResult
from plumb_backends.errors import InitFailed
from plumb_backends.grounding import Grounding
from plumb_backends.real.capture import MOST_PATHS
from plumb_backends.real.shell_environment import RealShell
from plumb_backends.registry import Backends, Spec
from plumb_backends.snapshot import Snapshot, common, render, stable

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = Path(__file__).parents[3] / "scenarios"


async def results(backends: Backends, *init: str, timeout: float = 60.0) -> list[ProgramResult]:
    spec = Spec(kind="shell", backend="real", session_id="trap",
                grounding=Grounding(init, timeout=timeout))  # fmt: skip
    grounded = await backends.create(spec)
    await grounded.environment.close()
    return list(grounded.init_results)


def fields(snapshot: Snapshot, key: str) -> dict[str, str]:
    (found,) = [entry for entry in snapshot.entries if entry.key == key]
    return dict(found.fields)


# The traps: each says what plumb does.


async def test_a_redirect_of_a_descriptor_makes_an_empty_file_and_the_snapshot_shows_it(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(init=["echo 123>/usr/.tmp"])
    assert fields(await shell.capture(), "/usr/.tmp") == {
        "type": "file", "mode": "644", "owner": "root:root", "size": "0"
    }  # fmt: skip


async def test_what_is_missing_in_the_background_does_not_fail_and_its_words_are_kept(
    backends: Backends,
) -> None:
    (result,) = await results(backends, "nosuchsudo service start & wait; true")
    assert result.exit_code == 0
    assert b"nosuchsudo: command not found" in result.stderr


async def test_only_the_last_command_decides_and_the_errors_before_are_kept(
    backends: Backends,
) -> None:
    (result,) = await results(backends, "mkdir /no/such/dir\ntar xf /none.tar\ntouch /srv/x")
    assert result.exit_code == 0
    assert result.stderr.count(b"\n") >= 2
    with pytest.raises(InitFailed, match="mkdir"):
        await results(backends, "set -e\nmkdir /no/such/dir\ntouch /srv/x")


async def test_a_script_that_never_returns_fails_at_its_timeout(backends: Backends) -> None:
    with pytest.raises(InitFailed, match=r"init script 2 .*ran longer than 3 s"):
        await results(backends, "true", "tail -f /dev/null", timeout=3)


async def test_a_script_of_comments_does_nothing_and_is_well(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["# nothing\n# to do"])
    files = [entry for entry in (await shell.capture()).entries if entry.key.startswith("/")]
    assert files == []


async def test_becoming_another_user_at_the_end_ends_with_the_script(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(init=["useradd -m jack\nsu - jack"])
    assert (await shell.step(Action(b"whoami"))).text == "root\n"


async def test_a_variable_of_a_script_is_gone_with_it(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["export var=10"])
    assert (await shell.step(Action(b"echo [$var]"))).text == "[]\n"


async def test_line_ends_of_windows_are_line_ends(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["mkdir /srv/a\r\nif true; then\r\ntouch /srv/a/b\r\nfi\r\n"])
    assert (await shell.step(Action(b"ls -b /srv /srv/a"))).text == "/srv:\na\n\n/srv/a:\nb\n"


async def test_a_script_runs_by_the_interpreter_that_it_names(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=["#!/usr/bin/env python3\nopen('/srv/n', 'w').write(str(6 * 7))",
              "#!/bin/bash\n[[ -f /srv/n ]] && touch /srv/bash"]
    )  # fmt: skip
    assert (await shell.step(Action(b"cat /srv/n; ls /srv/bash"))).text == "42/srv/bash\n"


async def test_an_interpreter_that_is_not_there_fails_and_is_named(backends: Backends) -> None:
    with pytest.raises(InitFailed, match="tcc") as caught:
        await results(backends, "#!/usr/bin/tcc -run\nint main() { return 0; }")
    assert caught.value.metadata["exit_code"] == "127"


async def test_an_error_of_another_language_is_told_in_its_words(backends: Backends) -> None:
    with pytest.raises(InitFailed, match="ZeroDivisionError"):
        await results(backends, "#!/usr/bin/env python3\n1 / 0")


# What is captured.


async def test_everything_of_a_file_is_captured_as_it_is(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=[
            "mkdir -m 700 /srv/d; printf 'a\\nb' > /srv/d/f; chmod 4755 /srv/d/f",
            "ln -s nowhere /srv/l; mkfifo /srv/p; printf '\\0\\1' > /srv/bin",
            "head -c 5000 /dev/zero > /srv/big; touch -d '2020-01-02 03:04:05' /srv/old",
            "useradd -u 1500 -m -s /bin/bash ann; chown ann /srv/old; rm /etc/debian_version",
            "bash -c 'exec -a worker sleep 1000' >/dev/null 2>&1 &",
        ]
    )
    seen = await shell.capture()
    assert seen.cut == ()
    assert fields(seen, "/srv/d") == {"type": "directory", "mode": "700", "owner": "root:root"}
    file = fields(seen, "/srv/d/f")
    assert (file["mode"], file["size"], file["content"]) == ("4755", "3", "a\nb")
    assert len(file["sha256"]) == 64
    assert fields(seen, "/srv/l") == {"type": "link", "target": "nowhere"}
    assert fields(seen, "/srv/p")["type"] == "named pipe"
    assert "content" not in fields(seen, "/srv/bin")
    assert "content" not in fields(seen, "/srv/big")
    old = fields(seen, "/srv/old")
    assert (old["owner"], old["modified"]) == ("ann:root", "2020-01-02 03:04:05")
    assert fields(seen, "/etc/debian_version") == {"type": "deleted"}
    assert fields(seen, "user ann")["uid"] == "1500"
    assert fields(seen, "process worker 1000") == {"user": "root"}
    assert [entry.key for entry in seen.entries if entry.key.startswith("process")] == [
        "process worker 1000"
    ]
    keys = [entry.key for entry in seen.entries]
    assert keys == sorted(keys, key=lambda key: (not key.startswith("/"), key))


async def test_a_file_with_the_id_of_a_running_process_is_marked(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=["sleep 1000 >/dev/null 2>&1 & echo $! > /srv/pid; echo 1 > /srv/n"]
    )
    entries = {entry.key: entry for entry in (await shell.capture()).entries}
    assert entries["/srv/pid"].volatile == {"size", "sha256", "content"}
    assert entries["/srv/n"].volatile == set()


async def test_only_a_time_that_is_the_same_in_every_run_is_told(make_shell: MakeShell) -> None:
    shell = await make_shell(
        init=["touch -d '40 days ago' /srv/back; touch -d 2020-01-02 /srv/set; touch /srv/now"]
    )
    seen = await shell.capture()
    assert "modified" not in fields(seen, "/srv/back")
    assert fields(seen, "/srv/set")["modified"] == "2020-01-02 00:00:00"
    assert "modified" not in fields(seen, "/srv/now")


async def test_a_hostile_tree_is_captured_in_bounded_time_and_what_is_cut_is_said(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(
        init=[
            "mkdir /srv/many; cd /srv/many; seq 50000 | xargs touch",
            "truncate -s 1G /srv/huge; mkfifo /srv/fifo; ln -s loop /srv/loop",
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/srv/socket\")'",
            "touch \"$(printf '/srv/a\\377b')\"; printf secret > /srv/shut; chmod 000 /srv/shut",
            "mkdir -p /srv/deep/$(printf 'd%.0s/' $(seq 500)); touch '/srv/line\nend' '/srv/-n'",
        ]
    )
    started = time.monotonic()
    seen = await shell.capture()
    assert time.monotonic() - started < 200
    assert len(seen.entries) <= MOST_PATHS + 50
    assert any("more paths" in reason for reason in seen.cut)
    assert len(render(seen)) < 1_000_000
    small = await make_shell(
        init=[
            "truncate -s 1G /srv/huge; mkfifo /srv/fifo; ln -s loop /srv/loop",
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/srv/socket\")'",
            "touch \"$(printf '/srv/a\\377b')\"; touch \"$(printf '/srv/line\\nend')\" /srv/-n",
        ]
    )
    seen = await small.capture()
    assert fields(seen, "/srv/huge")["sha256"] == "(not read)"
    assert fields(seen, "/srv/fifo")["type"] == "named pipe"
    assert fields(seen, "/srv/socket")["type"] == "socket"
    assert fields(seen, "/srv/loop") == {"type": "link", "target": "loop"}
    assert fields(seen, "/srv/line\nend")["type"] == "file"
    assert fields(seen, "/srv/-n")["type"] == "file"
    assert fields(seen, "/srv/a\\xffb")["type"] == "file"
    assert seen.cut == ()


@pytest.mark.timeout(600)
async def test_the_snapshot_of_each_shipped_scenario_is_the_same_in_fresh_sandboxes(
    make_shell: MakeShell,
) -> None:
    """But for what two of them differ in, which is then marked as volatile."""
    places = asyncio.Semaphore(3)

    async def captured(init: list[str]) -> Snapshot:
        async with places:
            shell = await make_shell(init=init)
            seen = await shell.capture()
            await shell.close()
            return seen

    for line in (SCENARIOS / "shell.jsonl").read_text("utf-8").splitlines():
        scenario = json.loads(line)
        one, other, third = await asyncio.gather(*(captured(scenario["init"]) for _ in range(3)))
        learnt = common(one, other)
        known = stable(learnt)
        again = {
            entry.key: {
                name: value
                for name, value in entry.fields.items()
                if name in known.get(entry.key, {})
            }
            for entry in third.entries
            if entry.key in known
        }
        assert again == known, scenario["id"]
        marked = [entry.key for entry in learnt.entries if entry.volatile]
        assert len(marked) <= 3, (scenario["id"], marked)


# Probes.


async def state_of(shell: RealShell) -> tuple[object, ...]:
    """All that a probe could change: files with their times, processes, history, last status."""
    paths = await shell.execute(Program(["bash", "-c", "find / -xdev -newermt 2000-01-01 "
                                         "-not -path '/proc*' -printf '%p %T@ %m %U %s\n' | sort "
                                         "| sha256sum"]))  # fmt: skip
    said = await shell.step(Action(b" echo $? $_ $(history | wc -l) $(jobs | wc -l) $LINENO"))
    return paths.stdout, said.text.split()[:4]


async def test_a_probe_changes_nothing_that_could_be_asked_about(make_shell: MakeShell) -> None:
    shell = await make_shell(init=["echo 1 > /srv/a"])
    await shell.step(Action(b"cd /srv; sleep 1000 & false"))
    await shell.step(Action(b"false last-word"))
    before = await state_of(shell)
    await shell.step(Action(b"false last-word"))
    for suite in ("cwd", "files", "environment"):
        await shell.probe(suite)
    assert await state_of(shell) == before


async def test_probes_tell_directory_files_and_who_is_there(make_shell: MakeShell) -> None:
    shell = await make_shell()
    await shell.step(Action(b"useradd ann; mkdir /srv/d; echo hi > /srv/d/f; cd /srv/d"))
    await shell.step(Action(b"sleep 4242 & disown"))
    assert (await shell.probe("cwd")).facts == {"cwd": "/srv/d"}
    files = (await shell.probe("files")).facts
    assert files["/srv/d"] == "type directory, mode 755, owner root:root"
    assert files["/srv/d/f"].startswith("type file, mode 644, owner root:root, size 3, sha256 98ea")
    environment = (await shell.probe("environment")).facts
    assert environment["user ann"].startswith("uid 1000, gid 1000, home /home/ann")
    assert environment["process sleep 4242"] == "user root"
    assert environment["variable LANG"] == "value C.UTF-8"


async def test_a_program_that_lists_all_processes_does_not_end_its_own_output(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell()
    program = Program(["bash", "-c", "cat /proc/*/cmdline; echo; echo end"])
    assert (await shell.execute(program)).stdout.endswith(b"\nend\n")


# The image card.


async def test_the_card_says_what_was_there_before_any_script_or_action(
    make_shell: MakeShell,
) -> None:
    shell = await make_shell(init=["touch ~/made /made; rm /usr/bin/git; umask 077"])
    await shell.step(Action(b"rm /usr/bin/python3; touch /later; cd /tmp"))
    card = await shell.card()
    said = dict(line.split(": ", 1) for line in card.splitlines())
    assert said["git"][0].isdigit()
    assert said["python"][0].isdigit()
    assert "git" in said["installed"].split()
    assert "made" not in card
    assert "later" not in card
    assert said["limits"].endswith("open files of each")
    assert "256 processes" in said["limits"]
    assert (await shell.step(Action(b"pwd; ls /later"))).text == "/tmp\n/later\n"


async def test_the_card_of_an_image_is_written_once(
    make_shell: MakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await make_shell(), await make_shell(init=["touch /made"])
    card = await first.card()

    async def fails() -> str:
        raise AssertionError("it is known already")

    monkeypatch.setattr(second, "_write_card", fails)
    assert await second.card() == card


async def test_a_capture_leaves_the_access_times_of_files_as_they_are(
    make_shell: MakeShell,
) -> None:
    made = "mkdir /srv/d; echo a > /srv/n; echo b > /srv/d/m; cp /bin/true /srv/t"
    shell = await make_shell(init=[f"{made}; touch -a -d 2020-01-01 /srv/n /srv/d/m /srv/t"])
    await shell.capture()
    await shell.probe("files")
    await shell.probe("environment")
    seen = await shell.step(Action(b"stat -c '%x' /srv/n /srv/d/m /srv/t | cut -d. -f1"))
    assert seen.text == "2020-01-01 00:00:00\n" * 3
