"""New sessions from a warm pool, beside new ones that are made cold.

Two servers run side by side, one with pools and one without; sessions are made on both in turns,
with no init script, and each time ends when the client has the session. Before each round the pool
is full again, as its metrics say: what is measured is a hit. Of the peers, llm-sandbox has a pool,
whose containers are used again as the last user left them: that is something else.
"""

from collections.abc import Mapping

from bench import Bench, server
from findings import Budget, Findings, Row, latencies, milliseconds, p50
from measure import Action, Timings, in_turns, joined
from plumb_client import aio
from pool_size import free_port, until_full

WARM, COLD = "plumb, from the pool", "plumb, cold"
SIZE = 4
ROUNDS = {"shell": 24, "mysql": 40}
ACTIONS = {"shell": "echo hi", "mysql": "SELECT 1"}
SESSION, OUTPUT = "new {} session", "new {} session, first output"


async def measure(bench: Bench) -> Findings:
    """Measures both kinds, both with and without a step."""
    port = free_port()
    pools = {"PLUMB_SHELL_POOL": str(SIZE), "PLUMB_MYSQL_POOL": str(SIZE)}
    none = {"PLUMB_MYSQL_POOL": "0"}
    rows: list[Row] = []
    budgets = []
    with server(**none) as cold_at, server(**pools, PLUMB_METRICS_PORT=str(port)) as pooled_at:
        async with pooled_at.connect() as pooled, cold_at.connect() as cold:
            plumbs = {WARM: pooled, COLD: cold}
            async with pooled.session("mysql"):
                pass  # whose pool is filled after the first
            for kind, usual in ROUNDS.items():
                for subject, with_step in ((SESSION, False), (OUTPUT, True)):
                    timings = await _take(plumbs, kind, port, bench.rounds(usual), with_step)
                    rows += latencies(subject.format(kind), timings, WARM, {})
                    if not with_step:
                        taken = milliseconds(p50(timings, WARM))
                        budgets.append(Budget(f"{kind} session from the pool p50", taken, 20, "ms"))
    return Findings(rows, budgets)


async def _take(
    plumbs: Mapping[str, aio.Plumb], kind: str, port: int, rounds: int, with_step: bool
) -> dict[str, Timings]:
    """Times new sessions of a kind on both servers; removals and refills are left out."""
    garbage: list[aio.Session] = []

    def creating(plumb: aio.Plumb) -> Action:
        async def create() -> None:
            session = await plumb.session(kind)
            garbage.append(session)
            if with_step:
                await session.step(ACTIONS[kind])

        return create

    ways = {name: creating(plumb) for name, plumb in plumbs.items()}
    parts = []
    for _ in range(rounds + 1):
        await until_full(port, kind, SIZE)
        parts.append(await in_turns(ways, dict.fromkeys(ways, 1)))
        while garbage:
            await garbage.pop().close()
    return joined(parts[1:])  # the first is to warm up
