"""Worker processes: deadlines, limits, fairness, and that none is left behind."""

from __future__ import annotations

import _thread
import asyncio
import builtins
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from plumb_backends.workers import WorkCut, Worker, Workers, open_workers, run

_LONG = 600.0
_NET = 60.0


def _is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _gone(pid: int) -> bool:
    until = time.monotonic() + _NET
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not _is_alive(pid)


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    await made.close()


async def test_a_worker_returns_what_the_function_returns(worker: Worker) -> None:
    assert await worker.run(divmod, 17, 5, deadline=_NET) == (3, 2)
    assert await worker.run(os.getpid, deadline=_NET) != os.getpid()


async def test_a_worker_raises_what_the_function_raises(worker: Worker) -> None:
    pid = await worker.run(os.getpid, deadline=_NET)
    with pytest.raises(ZeroDivisionError, match="division"):
        await worker.run(divmod, 1, 0, deadline=_NET)
    with pytest.raises(UnicodeDecodeError, match="0xff"):
        await worker.run(bytes.decode, b"\xff", deadline=_NET)
    assert await worker.run(os.getpid, deadline=_NET) == pid


async def test_a_worker_is_killed_at_the_deadline_and_replaced(worker: Worker) -> None:
    pid = await worker.run(os.getpid, deadline=_NET)
    with pytest.raises(WorkCut, match=r"it took longer than 0\.2 s"):
        await worker.run(time.sleep, _LONG, deadline=0.2)
    assert not _is_alive(pid)
    assert await worker.run(os.getpid, deadline=_NET) != pid


async def test_work_that_holds_the_interpreter_is_killed_too(worker: Worker) -> None:
    pid = await worker.run(os.getpid, deadline=_NET)
    with pytest.raises(WorkCut, match="longer than"):
        await worker.run(pow, 3, 10**9, deadline=0.5)  # no byte code runs in it, nor a handler
    assert not _is_alive(pid)


async def test_work_is_killed_when_its_caller_is_cancelled(worker: Worker) -> None:
    pid = await worker.run(os.getpid, deadline=_NET)
    task = asyncio.create_task(worker.run(time.sleep, _LONG, deadline=_LONG))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _is_alive(pid)


async def test_a_deadline_may_pass_while_the_process_starts(worker: Worker) -> None:
    for deadline in (0.0, 0.001, 0.01, 0.05):
        with pytest.raises(WorkCut, match="longer than"):
            await worker.run(time.sleep, _LONG, deadline=deadline)
    assert await worker.run(abs, -1, deadline=_NET) == 1


async def test_a_bomb_for_the_memory_is_cut_and_hurts_nobody(worker: Worker) -> None:
    with pytest.raises(WorkCut, match="more than 1024 MiB of memory"):
        await worker.run(bytearray, 2 * 1024**3, deadline=_NET)
    assert await worker.run(abs, -1, deadline=_NET) == 1


async def test_a_result_too_large_for_the_caller_is_cut(worker: Worker) -> None:
    with pytest.raises(WorkCut, match="larger than 64 MiB"):
        await worker.run(bytes, 65 * 1024**2, deadline=_NET)
    assert await worker.run(len, b"x" * 8 * 1024**2, deadline=_NET) == 8 * 1024**2


async def test_a_process_that_held_much_memory_is_not_kept(worker: Worker) -> None:
    pid = await worker.run(os.getpid, deadline=_NET)
    await worker.run(builtins.exec, "import os; os.x = b'x' * 300 * 1024**2", deadline=_NET)
    assert await worker.run(os.getpid, deadline=_NET) != pid


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os; os._exit(3)", "status 3"),
        ("raise SystemExit(4)", "status 4"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
async def test_a_process_that_ends_in_the_middle_is_one_clear_error(
    worker: Worker, code: str, how: str
) -> None:
    with pytest.raises(WorkCut, match=f"its process ended with {how}"):
        await worker.run(builtins.exec, code, deadline=_NET)
    assert await worker.run(abs, -1, deadline=_NET) == 1


async def test_what_cannot_be_sent_back_is_an_error_that_says_so(worker: Worker) -> None:
    with pytest.raises(TypeError, match="cannot send back"):
        await worker.run(_thread.allocate_lock, deadline=_NET)
    with pytest.raises(TypeError, match="cannot send back"):  # it cannot be made from its message
        await worker.run(
            builtins.exec,
            "class E(Exception):\n def __init__(self, a, b): super().__init__('x')\nraise E(1, 2)",
            deadline=_NET,
        )


async def test_what_a_function_prints_is_no_reply(worker: Worker) -> None:
    await worker.run(os.write, 1, b"\0\0\0\0\0\0\0\5hello", deadline=_NET)
    assert await worker.run(abs, -1, deadline=_NET) == 1


async def test_a_worker_has_no_keys_and_writes_no_files(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert await worker.run(os.getenv, "OPENAI_API_KEY", deadline=_NET) is None
    with pytest.raises(OSError, match="File too large"):
        await worker.run(Path.write_bytes, tmp_path / "f", b"x", deadline=_NET)


async def test_a_closed_worker_is_gone_and_stays_so() -> None:
    worker = Worker()
    pid = await worker.run(os.getpid, deadline=_NET)
    work = asyncio.create_task(worker.run(time.sleep, _LONG, deadline=_LONG))
    await asyncio.sleep(0.05)
    await worker.close()
    with pytest.raises(WorkCut, match="it was called off"):
        await work
    assert not _is_alive(pid)
    await worker.close()


async def test_workers_are_started_when_they_are_wanted_and_used_again() -> None:
    async with open_workers() as workers:
        pids = {await workers.run(os.getpid, deadline=_NET, owner=str(at)) for at in range(6)}
    assert len(pids) == 1
    assert not _is_alive(pids.pop())


async def test_an_owner_has_one_job_at_a_time_so_that_others_get_their_turn() -> None:
    workers = Workers(count=2)
    try:
        jobs = [
            asyncio.create_task(workers.run(time.sleep, _LONG, deadline=_LONG, owner="greedy"))
            for _ in range(5)
        ]
        assert await workers.run(abs, -1, deadline=_NET, owner="modest") == 1
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)
        await workers.close()


async def test_waiting_for_a_worker_counts_towards_the_deadline() -> None:
    workers = Workers(count=1)
    try:
        job = asyncio.create_task(workers.run(time.sleep, _LONG, deadline=_LONG, owner="first"))
        await asyncio.sleep(0)
        with pytest.raises(WorkCut, match=r"no worker was free for 0\.2 s"):
            await workers.run(abs, -1, deadline=0.2, owner="second")
        with pytest.raises(WorkCut, match="other work of this session"):
            await workers.run(abs, -1, deadline=0.2, owner="first")
    finally:
        await workers.close()
    with pytest.raises(WorkCut):
        await job
    with pytest.raises(WorkCut, match="going down"):
        await workers.run(abs, -1, deadline=1.0, owner="first")


async def test_without_open_workers_one_is_started_for_the_call() -> None:
    pid = await run(os.getpid, deadline=_NET, owner="x")
    assert not _is_alive(pid)


_PARENT = """
import asyncio, os, time
from plumb_backends.workers import open_workers
async def main():
    async with open_workers() as workers:
        busy = asyncio.create_task(workers.run(time.sleep, 600, deadline=600, owner="a"))
        await workers.run(os.getpid, deadline=60, owner="b")
        print(open(f"/proc/self/task/{os.getpid()}/children").read(), flush=True)
        await busy
asyncio.run(main())
"""


def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = list(map(int, parent.stdout.readline().split()))
    assert len(pids) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for pid in pids:
        assert _gone(pid)


def test_the_differ_alone_needs_no_workers() -> None:
    code = "import sys, plumb_fidelity; assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
