"""What an agent may try through `baseline:sqlite`: its process is confined, others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from plumb_backends.environment import Action, Ending, Observation
from plumb_backends.errors import SandboxUnavailable
from plumb_backends.kinds.mysql import MysqlOptions, Rendering
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.sqlite import Sqlite
from plumb_backends.simulated.sqlite.confinement import MAX_PROCESS_BYTES
from plumb_backends.simulated.sqlite.messages import Begin, Probe, Run
from plumb_backends.simulated.sqlite.worker import Worker
from plumb_backends.simulated.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT"
LARGE = "REPEAT('x', 1000000)"


def make() -> tuple[Stage, Sqlite]:
    options = MysqlOptions(database="shop")
    actor = Sqlite(options, ["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"])
    return Stage(all_kinds()["mysql"], options, actor), actor


def pid_of(actor: Sqlite) -> int:
    """The session's process."""
    worker = actor._worker
    assert isinstance(worker, Worker)
    return worker._process.pid


async def ask(stage: Stage, text: str, timeout: float = 30.0) -> Observation:
    return await stage.step(Action(text.encode(), timeout=timeout))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacker() -> AsyncIterator[tuple[Stage, Sqlite]]:
    stage, actor = make()
    await actor.restart()
    yield stage, actor
    await stage.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour() -> AsyncIterator[Stage]:
    stage, actor = make()
    await actor.restart()
    yield stage
    await stage.close()


REFUSED = {
    "a database written to a file": "VACUUM INTO '{file}'",
    "a database attached": "ATTACH '{file}' AS x",
    "a database attached by a URI": "ATTACH DATABASE 'file:{file}?mode=rwc' AS x",
    "a database in memory attached": "ATTACH ':memory:' AS x",
    "the main database detached": "DETACH main",
    "the heap's limit": "PRAGMA hard_heap_limit = 100000",
    "the heap's limit, in parentheses": "PRAGMA soft_heap_limit(1)",
    "the folder of temporary files": "PRAGMA temp_store_directory = '{folder}'",
    "a schema that can be written": "PRAGMA writable_schema = 1",
    "pragmas as tables": "SELECT * FROM pragma_database_list",
    "the schema written to": "UPDATE sqlite_master SET sql = 'x'",
    "full-text tables": "CREATE VIRTUAL TABLE v USING fts5(a)",
    "spatial tables": "CREATE VIRTUAL TABLE v USING rtree(a, b, c)",
    "an extension": "SELECT load_extension('{file}')",
    "a tokenizer's address": "SELECT fts3_tokenizer('simple')",
    "a file written": "SELECT writefile('{file}', 'x')",
    "a file read": "SELECT readfile('/etc/passwd')",
    "random bytes": "SELECT LENGTH(randomblob(1000000000))",
    "zeros": "SELECT LENGTH(zeroblob(1000000000))",
    "a precision that takes minutes": "SELECT LENGTH(printf('%.*c', 900000000, 'x'))",
    "a group that is too large": f"{ENDLESS[:-8]} LIMIT 10000) SELECT GROUP_CONCAT({LARGE}) FROM c",
    "a replacement that is too large": f"SELECT REPLACE({LARGE}, 'x', {LARGE})",
    "a hundred large texts": f"SELECT CONCAT({','.join([LARGE] * 99)})",
    "a table without end": f"CREATE TABLE full AS {ENDLESS} {LARGE} FROM c",
    "a temporary table without end": f"CREATE TEMPORARY TABLE full AS {ENDLESS} {LARGE} FROM c",
    "a sort without end": f"SELECT * FROM ({ENDLESS} n, {LARGE} AS s FROM c) AS d ORDER BY s",
    "parentheses": f"SELECT {'(' * 20_000}1{')' * 20_000}",
    "hints": f"SELECT /*+ {'A(' * 20_000} */ 1",
}
ENDED = {
    "rows without end": f"{ENDLESS} n FROM c",
    "a count without end": f"{ENDLESS} COUNT(*) FROM c",
    "large rows without end": f"{ENDLESS} {LARGE} FROM c",
    "a sum of 100,000": f"SELECT {'1+' * 100_000}1",
    "negations": f"SELECT {'NOT ' * 100_000}1",
    "cases": f"SELECT {'CASE WHEN 1 THEN ' * 20_000}1{' END' * 20_000}",
    "comments": f"SELECT 1 {'/*x*/ ' * 150_000}",
    "a list": f"SELECT 1 IN ({','.join(['1'] * 300_000)})",
    "statements": "SELECT 1;" * 100_000,
    "a sleep": "SELECT SLEEP(1000)",
}
ANSWERED = {
    "a repetition that is too large": "SELECT LENGTH(REPEAT('x', 900000000))",
    "brackets in JSON": "SELECT json_valid(REPEAT('[', 4000000))",
    "a pattern": f"SELECT {LARGE} LIKE '{'%x' * 400}y'",
    "sleeps that are none": "SELECT SLEEP(-1), SLEEP('x'), SLEEP(NULL)",
    "one wide cell above many rows": f"{ENDLESS[:-8]} LIMIT 9000) SELECT REPEAT('x', 500000) "
    "UNION ALL SELECT n FROM c",
    "a thousand tables": ";".join(f"CREATE TABLE many{n} (a INT)" for n in range(1000)),
    "delimiters": "delimiter " + "." * 128_000 + "b\n" + "." * 128_000,
    "quotes": "SELECT '" + "''" * 200_000 + "'",
}


async def check_alive(attacker: tuple[Stage, Sqlite], neighbour: Stage) -> None:
    """Both go on, and neither took what it may not have."""
    for stage in (attacker[0], neighbour):
        assert "|        1 |" in (await ask(stage, "SELECT COUNT(*) FROM t")).text
    status = Path(f"/proc/{pid_of(attacker[1])}/status").read_text("utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmPeak"))
    assert int(peak.split()[1]) * 1024 <= MAX_PROCESS_BYTES
    ours = sqlite3.connect(":memory:")  # as the journal's
    assert ours.execute("SELECT LENGTH(zeroblob(5000000))").fetchone() == (5_000_000,)
    ours.close()


@pytest.mark.parametrize("name", REFUSED)
async def test_what_mysql_has_not_is_an_error_of_sql(
    name: str, attacker: tuple[Stage, Sqlite], neighbour: Stage, tmp_path: Path
) -> None:
    action = REFUSED[name].replace("{file}", f"{tmp_path}/x").replace("{folder}", str(tmp_path))
    seen = await ask(attacker[0], action)
    assert seen.ending is Ending.EXITED
    assert seen.sql is not None
    assert seen.sql.errno in (1037, 1064, 1114, 1153, 1227, 1305), seen.text
    assert list(tmp_path.iterdir()) == []
    await check_alive(attacker, neighbour)


@pytest.mark.parametrize("name", ENDED)
async def test_what_takes_too_long_has_timed_out_and_the_state_is_kept(
    name: str, attacker: tuple[Stage, Sqlite], neighbour: Stage
) -> None:
    seen = await ask(attacker[0], ENDED[name], timeout=0.3)
    assert seen.ending is Ending.TIMED_OUT
    await check_alive(attacker, neighbour)


@pytest.mark.parametrize("name", ANSWERED)
async def test_what_is_only_large_is_answered(
    name: str, attacker: tuple[Stage, Sqlite], neighbour: Stage
) -> None:
    seen = await ask(attacker[0], ANSWERED[name], timeout=120)
    assert seen.ending is Ending.EXITED
    await check_alive(attacker, neighbour)


async def test_a_process_that_does_not_obey_is_killed_and_the_session_says_so(
    neighbour: Stage,
) -> None:
    stage, actor = make()
    await actor.restart()
    pid = pid_of(actor)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(SandboxUnavailable, match="could not be stopped at its timeout; reset"):
        await ask(stage, "SELECT 1", timeout=0.1)
    with pytest.raises(SandboxUnavailable, match="has been ended; reset the session"):
        await ask(stage, "SELECT 1")
    assert not Path(f"/proc/{pid}").exists()
    assert "|        1 |" in (await ask(neighbour, "SELECT COUNT(*) FROM t")).text
    await stage.reset()
    assert "|        1 |" in (await ask(stage, "SELECT COUNT(*) FROM t")).text
    await stage.close()


async def test_a_process_that_ends_by_itself_is_an_error_of_its_session() -> None:
    stage, actor = make()
    await actor.restart()
    os.kill(pid_of(actor), signal.SIGKILL)
    with pytest.raises(SandboxUnavailable, match="ended by itself"):
        await ask(stage, "SELECT 1")
    await stage.close()
    await stage.close()


async def test_a_step_that_is_given_up_ends_its_process() -> None:
    stage, actor = make()
    await actor.restart()
    pid = pid_of(actor)
    step = asyncio.create_task(ask(stage, "SELECT SLEEP(100)"))
    await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert not Path(f"/proc/{pid}").exists()
    await stage.close()


async def test_probes_say_what_cannot_be_read() -> None:
    worker = await Worker.start()
    views = [
        f"CREATE VIEW endless AS {ENDLESS} n FROM c",
        f"CREATE VIEW large AS {ENDLESS[:-8]} LIMIT 9) SELECT {LARGE} FROM c",
        'CREATE TABLE `a"b` (c INT)',
    ]
    begin = Begin(
        database="shop", rendering=Rendering.CLIENT, scripts=tuple(views), script_seconds=30
    )
    await worker.begin(begin)
    counts = await worker.probe(Probe(suite="counts", seconds=0.5))
    assert counts["shop.endless"].startswith("cannot be read")
    await worker.run(Run(action=b"DROP VIEW endless", seconds=30))
    assert (await worker.probe(Probe(suite="counts", seconds=30)))['shop.a"b'] == "0 rows"
    rows = await worker.probe(Probe(suite="rows", seconds=30))
    assert sum(map(len, rows.values())) < 4 * 1024**2
    assert "[... further rows cut ...]" in rows.values()
    await worker.close()


async def test_the_process_gets_none_of_the_server_s_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret")
    stage, actor = make()
    await actor.restart()
    assert b"a-secret" not in Path(f"/proc/{pid_of(actor)}/environ").read_bytes()
    await stage.close()


ORPHAN = """
import asyncio
from plumb_backends.environment import Action
from plumb_backends.kinds.mysql import MysqlOptions, Rendering
from plumb_backends.simulated.sqlite import Sqlite

async def main():
    actor = Sqlite(MysqlOptions(), [])
    await actor.restart()
    print(actor._worker._process.pid, flush=True)
    await actor.act(Action(b"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
                           b"SELECT COUNT(*) FROM c", timeout=600.0))

asyncio.run(main())
"""


async def test_nothing_is_left_of_a_server_that_was_killed() -> None:
    server = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(await asyncio.to_thread(server.stdout.readline))
    assert _is_alive(pid)
    server.kill()
    server.wait()
    server.stdout.close()
    deadline = time.monotonic() + 30
    while _is_alive(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
