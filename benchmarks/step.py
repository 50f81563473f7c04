"""One command in a sandbox that lives: `echo hi` with its exit status.

Ours goes through the client, the wire, the server, the journal and the terminal in a container. For
each way it is asked, not claimed, whether there is a container and whether the shell keeps state.
"""

from collections.abc import Mapping
from pathlib import Path

from bench import Bench, server
from findings import OURS, Budget, Findings, latencies, milliseconds, p50, ratio_of
from measure import Action, Timings, WayFailed, in_turns
from peers.catalogue import CATALOGUE
from ways import CLI, SDK, Way, all_ways

SUBJECT = "step, echo hi"
ROUNDS = {OURS: 600, SDK: 60, CLI: 40}
PEER_ROUNDS = 30
EXEC_EACH = (SDK, CLI, *(peer.name for peer in CATALOGUE if peer.is_exec_each))
SWE_REX = [peer for peer in CATALOGUE if peer.package == "swe-rex"]
_NAMESPACE = "/proc/self/ns/mnt"
_OUR_NAMESPACE = str(Path(_NAMESPACE).readlink())


async def measure(bench: Bench) -> Findings:
    """Times it everywhere."""
    with server() as access:
        async with access.connect() as plumb, all_ways(plumb, with_peers=bench.with_peers) as ways:
            refused = await _create(ways)
            live = {name: way for name, way in ways.items() if name not in refused}
            notes = {name: await _nature(name, way) for name, way in live.items()}
            timings = await in_turns(
                {name: _stepping(way) for name, way in live.items()},
                {name: bench.rounds(ROUNDS.get(name, PEER_ROUNDS)) for name in live},
            )
            for way in live.values():
                await way.remove()
    rows = latencies(SUBJECT, {**timings, **refused}, OURS, notes)
    return Findings(rows, _budgets(timings))


async def _create(ways: Mapping[str, Way]) -> dict[str, Timings]:
    """Makes a sandbox each and warms it; returns those that could not."""
    refused = {}
    for name, way in ways.items():
        try:
            await way.create()
            await way.run("echo hi")
        except WayFailed as failure:
            refused[name] = Timings((), (str(failure),))
    return refused


def _stepping(way: Way) -> Action:
    return lambda: way.run("echo hi")


async def _nature(name: str, way: Way) -> str:
    """What the way is, by what a command in it sees."""
    is_apart = await way.text_of(f"readlink {_NAMESPACE}") != _OUR_NAMESPACE
    await way.text_of("kept=yes; true")
    keeps = (await way.text_of('echo "kept: $kept"')).endswith("kept: yes")
    said = [
        "a container" if is_apart else "NO container",
        "shell state" if keeps else "no shell state",
        *(peer.note for peer in CATALOGUE if peer.name == name),
    ]
    return ", ".join(said)


def _budgets(timings: Mapping[str, Timings]) -> list[Budget]:
    bars = dict.fromkeys(EXEC_EACH, 30.0) | {peer.name: 40.0 for peer in SWE_REX}
    return [
        Budget("shell step p50", milliseconds(p50(timings, OURS)), 2.5, "ms"),
        *(
            Budget(
                f"shell step, {name} / ours", ratio_of(timings, name, OURS), least, "times", True
            )
            for name, least in bars.items()
        ),
    ]
