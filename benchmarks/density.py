"""Sandboxes to a GB: what one more that waits takes of the machine's memory.

Counted is what belongs to the sandboxes: the engine's shim of each and all processes below it,
shared pages shared out (PSS), and what our server grew by. The kernel's own memory is not in it,
and is the same for every container; the clients of the peers are not in it either.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker

from bench import LABEL, PEER_LABEL, Bench, server
from driven import drivers
from findings import OURS, Findings, Row, with_ratios
from measure import WayFailed, memory_bytes
from peers.catalogue import CATALOGUE
from processes import child_that_runs, parents
from ways import SDK, DockerSdk, Ours, Way, engine

SUBJECT = "idle sandboxes to a GB"
OURS_AT_ONCE = 24
OTHERS_AT_ONCE = 2
NOTES = {
    SDK: "a container that is nothing but `sleep`: the floor",
    OURS: "what the server grew by included",
}


async def measure(bench: Bench) -> Findings:
    """Makes some of each and looks."""
    peers = CATALOGUE if bench.with_peers else ()
    with server() as access, engine() as client:
        async with access.connect() as plumb:
            rows = [await _ours(client, plumb, bench.rounds(OURS_AT_ONCE))]
        rows.append(await _others(client, SDK, [DockerSdk(client) for _ in range(OTHERS_AT_ONCE)]))
        for peer in peers:
            async with drivers([peer] * OTHERS_AT_ONCE) as ways:
                rows.append(await _others(client, peer.name, ways))
    return Findings(with_ratios(rows))


async def _ours(client: docker.DockerClient, plumb: Any, number: int) -> Row:
    ways = [Ours(plumb) for _ in range(number)]
    await _fill(ways[:1])
    status = Path(f"/proc/{child_that_runs('plumb_server')}/status")
    before = memory_bytes("VmRSS", status)
    await _fill(ways[1:])
    grown = (memory_bytes("VmRSS", status) - before) * number // max(1, number - 1)
    sessions = [way.session.name.rpartition("/")[2] for way in ways]
    found = _labelled(client, [f"dev.plumb.session={session}" for session in sessions])
    taken = _memory(found)
    await _empty(ways)
    return _row(OURS, number, (taken + grown) / number)


async def _others(client: docker.DockerClient, name: str, ways: Sequence[Way]) -> Row:
    others = {one.id for one in _labelled(client, [PEER_LABEL])}  # of another run
    try:
        await _fill(ways)
        found = [one for one in _labelled(client, [LABEL, PEER_LABEL]) if one.id not in others]
        taken, number = _memory(found), len(found)
        await _empty(ways)
    except WayFailed as failure:
        return Row(subject=SUBJECT, way=name, unit="to a GB", note=f"not possible: {failure}")
    if not number:
        return Row(subject=SUBJECT, way=name, unit="to a GB", note="not counted: NO container")
    return _row(name, number, taken / number)


def _row(name: str, number: int, each: float) -> Row:
    note = "; ".join(filter(None, [f"{each / 1e6:.1f} MB each", NOTES.get(name, "")]))
    return Row(subject=SUBJECT, way=name, unit="to a GB", runs=number, p50=1e9 / each, note=note)


async def _fill(ways: Sequence[Way]) -> None:
    for way in ways:
        await way.create()
        await way.run("echo hi")


async def _empty(ways: Sequence[Way]) -> None:
    await asyncio.gather(*(way.remove() for way in ways))


def _labelled(client: docker.DockerClient, labels: Sequence[str]) -> list[Any]:
    return [
        container
        for label in labels
        for container in client.containers.list(filters={"label": label})
    ]


def _memory(containers: Sequence[Any]) -> int:
    """What containers take, in bytes."""
    parent_of = parents()
    shims = {parent_of[container.attrs["State"]["Pid"]] for container in containers}
    return sum(_shared_out(process) for process in _below(shims, parent_of))


def _below(roots: set[int], parent_of: dict[int, int]) -> Iterator[int]:
    """The processes themselves and all that descend from them."""
    for process in parent_of:
        ancestor = process
        while ancestor not in roots and ancestor in parent_of:
            ancestor = parent_of[ancestor]
        if ancestor in roots:
            yield process


def _shared_out(process: int) -> int:
    try:
        return memory_bytes("Pss", Path(f"/proc/{process}/smaps_rollup"))
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0
