"""An image's USER and WORKDIR: honoured where a session asks for it; else root in /root."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import pytest
from tests.conftest import IMAGE

from plumb_backends.environment import Action, Ending, Program
from plumb_backends.kinds.shell import ShellOptions

if TYPE_CHECKING:
    from tests.conftest import MakeShell

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """One whose USER is `app`, and whose WORKDIR is `/srv/app`."""
    name = f"plumb-test-user:{uuid.uuid4().hex}"
    with closing(docker.from_env()) as engine:
        made = engine.containers.create(
            IMAGE, ["sh", "-c", "useradd -m app && mkdir /srv/app && chown app /srv/app"]
        )
        try:
            made.start()
            assert made.wait()["StatusCode"] == 0
            repository, tag = name.split(":")
            made.commit(repository, tag, changes=["USER app", "WORKDIR /srv/app"])
        finally:
            made.remove(force=True)
        yield name
        engine.images.remove(name, force=True)


async def test_a_session_that_asks_for_it_is_the_image_s_user_in_its_directory(
    make_shell: MakeShell, image: str
) -> None:
    shell = await make_shell(
        init=["id -un > who; pwd > where"],
        options=ShellOptions(image=image, use_image_user=True),
    )
    seen = await shell.step(Action(b"id -un; pwd; echo ~; cat who where"))
    assert seen.text == "app\n/srv/app\n/home/app\napp\n/srv/app\n"
    assert seen.shell is not None
    assert (seen.shell.user, seen.shell.cwd) == ("app", "/srv/app")
    assert (await shell.execute(Program(["id", "-un"]))).stdout == b"app\n"
    assert (await shell.execute(Program(["id", "-un"], user="root"))).stdout == b"root\n"
    again = await shell.execute(Program(["sh", "-c", "cat /dev/stdin >/dev/stderr"], stdin=b"in"))
    assert (again.exit_code, again.stderr) == (0, b"in")
    assert (await shell.step(Action(b'echo seen >"$(tty)"; echo >/dev/tty'))).text == "seen\n\n"
    assert (await shell.probe("cwd")).facts == {"cwd": "/srv/app"}
    assert (await shell.step(Action(b"touch /etc/mine"))).exit_code == 1


async def test_such_a_session_stops_restarts_and_mends_its_terminal_like_any_other(
    make_shell: MakeShell, image: str
) -> None:
    shell = await make_shell(options=ShellOptions(image=image, use_image_user=True))
    assert (await shell.step(Action(b"sleep 1000", timeout=0.3))).ending is Ending.TIMED_OUT
    assert (await shell.step(Action(b"exit 3"))).ending is Ending.SHELL_EXITED
    await shell.step(Action(b"stty raw -echo intr a"))
    await shell.step(Action(b"(setsid cat >/dev/null &)"))
    for number in range(2):
        seen = await shell.step(Action(f"echo a{number}; id -un".encode(), timeout=60))
        assert seen.text == f"a{number}\napp\n"


async def test_without_the_option_the_image_s_user_is_not_asked_for(
    make_shell: MakeShell, image: str
) -> None:
    shell = await make_shell(options=ShellOptions(image=image))
    assert (await shell.step(Action(b"id -un; pwd"))).text == "root\n/root\n"


async def test_an_image_that_names_neither_means_root_in_its_root_directory(
    make_shell: MakeShell,
) -> None:
    with closing(docker.from_env()) as engine:
        config = engine.images.get(IMAGE).attrs["Config"]
    folder = config.get("WorkingDir") or "/"
    shell = await make_shell(options=ShellOptions(use_image_user=True))
    assert (await shell.step(Action(b"id -un; pwd"))).text == f"root\n{folder}\n"
