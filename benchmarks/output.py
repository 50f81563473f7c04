"""100 MB of output of one command: how fast, and how much memory the server needs for it.

Ours keeps the head and the tail, and counts the rest; whoever returns the whole output has it in
memory. `docker exec` is the floor of what the engine carries: nobody keeps anything of it.
"""

from pathlib import Path

from bench import Bench, server
from findings import OURS, Budget, Findings, Row, with_ratios
from measure import Timings, WayFailed, in_turns, memory_bytes
from peers.catalogue import CATALOGUE
from processes import child_that_runs
from ways import CLI, SDK, Way, all_ways

SUBJECT = "output of 100 MB"
MEGABYTES = 100
ROUNDS = 3
MOST_GROWTH = 32.0
NOTES = {
    OURS: "through the terminal; head and tail of 64 KiB are kept, all is counted",
    SDK: "through a pipe; all of it in the caller's memory",
    CLI: "through a pipe to /dev/null: nobody keeps it",
    **{peer.name: "all of it in the caller's memory" for peer in CATALOGUE},
}
LESS = {peer.name: peer.output_megabytes for peer in CATALOGUE}
LINE = "0123456789" * 6


async def measure(bench: Bench) -> Findings:
    """Takes it a few times; from each peer once, which may be long."""
    rounds = bench.rounds(ROUNDS)
    rows = []
    growth = None
    with server() as access:
        watched = Path(f"/proc/{child_that_runs('plumb_server')}")
        async with access.connect() as plumb, all_ways(plumb, with_peers=bench.with_peers) as ways:
            for name, way in ways.items():
                megabytes = LESS.get(name, MEGABYTES) * min(1.0, bench.scale)
                command = f"yes {LINE} | head -c {int(megabytes * 1e6)}"
                before = _forget_peak(watched)
                timings = await _take(way, command, 1 if name in LESS else rounds)
                if name == OURS:
                    growth = (memory_bytes("VmHWM", watched / "status") - before) / 1e6
                rows.append(_row(name, timings, megabytes))
    what = "server's memory, for 100 MB"
    note = "the most that it grew by (VmHWM)"
    rows = with_ratios(rows)
    rows.append(Row(subject=what, way=OURS, unit="MB", runs=rounds, p50=growth, note=note))
    return Findings(rows, [Budget(what, growth, MOST_GROWTH, "MB")])


async def _take(way: Way, command: str, rounds: int) -> Timings:
    try:
        await way.create()
        await way.run("echo hi")
    except WayFailed as failure:
        return Timings((), (str(failure),))
    timings = (await in_turns({"": lambda: way.run(command)}, {"": rounds}))[""]
    try:
        await way.remove()
    except WayFailed as failure:
        timings = Timings(timings.seconds, (*timings.failures, str(failure)))
    return timings


def _forget_peak(process: Path) -> int:
    process.joinpath("clear_refs").write_text("5", encoding="utf-8")
    return memory_bytes("VmHWM", process / "status")


def _row(name: str, timings: Timings, megabytes: float) -> Row:
    if not timings.seconds:
        why = f"not possible: {timings.failures[0]}"
        return Row(subject=SUBJECT, way=name, unit="MB/s", note=why)
    size = [] if megabytes == MEGABYTES else [f"{megabytes:g} MB only"]
    return Row(
        subject=SUBJECT,
        way=name,
        unit="MB/s",
        runs=len(timings.seconds),
        p50=megabytes / timings.percentile(50),
        p95=megabytes / timings.percentile(95),
        note="; ".join([*size, NOTES[name], *timings.failures[:1]]),
    )
