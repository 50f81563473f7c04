"""Forked processes: told at once how to start them; spawned ones work. Nothing hangs."""

from __future__ import annotations

import asyncio
import fnmatch
import sys
import textwrap
from collections.abc import Sequence

import pytest
from tests.client.test_aio import Servicer, served

_HEAD = """
import asyncio, multiprocessing, os, pickle, sys
from concurrent.futures import ProcessPoolExecutor
import plumb_client
from plumb_client import aio

ADDRESS = sys.argv[1]

def use():
    with plumb_client.connect(ADDRESS) as plumb, plumb.session("shell") as shell:
        return shell.step("echo a").text

def tell(work):
    try:
        return f"worked: {work()}"
    except plumb_client.PlumbError as error:
        return f"{type(error).__name__}: {error}"

def in_a_fork(work):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, tell(work).encode())
        os._exit(0)
    os.wait()
    return os.read(read, 10_000).decode()

def in_a_pool(method, work):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        return pool.submit(tell, work).result()

if __name__ == "__main__":
"""

REFUSED = 'ForkedProcess: process * was forked from one that had used plumb_client, *"spawn"*'


async def run(body: str, *, gates: Sequence[bytes] = (), full_for: int = 0) -> list[str]:
    """Runs a script against a server of its own; what it printed."""
    servicer = Servicer()  # type: ignore[abstract]
    servicer.gates = {action: asyncio.Event() for action in gates}
    servicer.full_for = full_for
    async with served(servicer) as address:
        script = _HEAD + textwrap.indent(textwrap.dedent(body), "    ")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, address, stdout=asyncio.subprocess.PIPE
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 120)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    assert process.returncode == 0
    return out.decode().splitlines()


def is_refused(line: str) -> bool:
    return fnmatch.fnmatchcase(line, REFUSED)


@pytest.mark.parametrize("after", ["while it is connected", "after it was closed"])
async def test_a_forked_child_of_a_process_that_connected_is_told_how_to_start_it(
    after: str,
) -> None:
    use = "print(in_a_fork(use)); print(in_a_pool('fork', use))"
    if after == "while it is connected":
        body = f"plumb = plumb_client.connect(ADDRESS)\nplumb.sessions()\n{use}\nplumb.close()"
    else:
        body = f"use()\n{use}\nprint(tell(use))"
    first, second, *rest = await run(body)
    assert is_refused(first)
    assert is_refused(second)
    assert rest == ([] if after.startswith("while") else ["worked: echo a"])


async def test_what_the_parent_made_raises_in_a_forked_child_and_lives_on_in_the_parent() -> None:
    lines = await run(
        """
        plumb = plumb_client.connect(ADDRESS)
        shell = plumb.session("shell")
        shell.step("echo a")
        stream = shell.stream("seq 9")
        for work in (
            lambda: shell.step("echo b"), lambda: shell.info(), lambda: list(stream),
            lambda: plumb.sessions(), lambda: plumb.session("shell"),
            lambda: asyncio.run(connect_aio()),
        ):
            print(in_a_fork(work))
        print(in_a_fork(lambda: [stream.close(), shell.close(), plumb.close()]))
        print(tell(lambda: shell.step("echo c").text))
        print(tell(plumb.close))
    """.replace(
            "plumb = plumb_client",
            """async def connect_aio():
            aio.connect(ADDRESS)
        plumb = plumb_client""",
            1,
        )
    )
    assert [line for line in lines[:6] if not is_refused(line)] == []
    assert lines[6:] == ["worked: [None, None, None]", "worked: echo c", "worked: None"]


async def test_an_asyncio_connection_raises_in_a_forked_child() -> None:
    lines = await run("""
        async def main():
            async with aio.connect(ADDRESS) as plumb, plumb.session("shell") as shell:
                await shell.step("echo a")
                print(in_a_fork(lambda: asyncio.run(step(shell))))
                print(in_a_fork(lambda: asyncio.run(leave(plumb, shell))))
                print((await shell.step("echo b")).text)

        async def step(shell):
            return await shell.step("echo b")

        async def leave(plumb, shell):
            await shell.close()
            await plumb.close()

        asyncio.run(main())
    """)
    assert is_refused(lines[0])
    assert lines[1:] == ["worked: None", "echo b"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
async def test_a_spawned_process_works_beside_a_connection(method: str) -> None:
    # `-c` has no file that a spawned process could import: builtins do the work.
    lines = await run(f"""
        program = f"import plumb_client; p = plumb_client.connect({{ADDRESS!r}}); " \\
            "s = p.session('shell'); open(1, 'w', closefd=False).write(s.step('echo a').text); " \\
            "s.close(); p.close()"
        with plumb_client.connect(ADDRESS) as plumb:
            plumb.sessions()
            process = multiprocessing.get_context({method!r}).Process(target=exec, args=(program,))
            process.start()
            process.join()
            print("", process.exitcode)
    """)
    assert lines == ["echo a 0"]


async def test_a_process_that_was_forked_before_anything_was_used_works() -> None:
    assert await run("print(in_a_fork(use)); print(in_a_fork(use)); print(use())") == [
        "worked: echo a", "worked: echo a", "echo a",
    ]  # fmt: skip


async def test_what_cannot_be_sent_to_another_process_says_what_to_send() -> None:
    (line,) = await run("""
        with plumb_client.connect(ADDRESS) as plumb, plumb.session("shell") as shell:
            print(*{tell(lambda one=one: pickle.dumps(one))
                    for one in (plumb, shell, plumb.agent_session(shell.name))}, sep="|")
    """)
    told = sorted(line.split("|"))
    assert [one.split()[2] for one in told] == ["AgentSession", "Plumb", "Session"]
    assert all("send the session's name, and connect and attach(name) there" in one for one in told)
