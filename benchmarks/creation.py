"""A new sandbox, cold, up to the output of a first `echo hi`; and its end."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import docker

from bench import BASE, HARDENED, Bench, server
from findings import OURS, Budget, Findings, latencies, ratio_of
from measure import Action, Timings, Took, in_turns, joined
from peers.catalogue import CATALOGUE
from ways import CLI, SDK, Way, all_ways, run_program

CREATED, REMOVED = "new sandbox, first output", "end of a sandbox"
BARE_SDK, BARE_CLI = "containers.run (SDK)", "docker run (CLI)"
NOTES = {
    SDK: "containers.run of `sleep`, then one exec",
    CLI: "docker run of `sleep`, then one exec",
    BARE_SDK: "the container IS the command: nothing is kept, no second one is possible",
    BARE_CLI: "the same, up to the end of `docker run --rm`",
    **{peer.name: peer.note for peer in CATALOGUE},
}
ROUNDS = 24
PEER_ROUNDS = 5


async def measure(bench: Bench) -> Findings:
    """Times both, everywhere."""
    with server() as access:
        async with access.connect() as plumb, all_ways(plumb, with_peers=bench.with_peers) as ways:
            await _live(ways[OURS])  # warm
            created, removed = await _take(bench, ways)
    rows = [
        *latencies(CREATED, created, OURS, NOTES),
        *latencies(REMOVED, removed, OURS, {}),
    ]
    budgets = [
        Budget(f"cold session / {bare}", ratio_of(created, OURS, bare), 1.25, "times")
        for bare in (BARE_SDK, BARE_CLI)
    ]
    return Findings(rows, budgets)


async def _take(
    bench: Bench, ways: Mapping[str, Way]
) -> tuple[dict[str, Timings], dict[str, Timings]]:
    rounds = bench.rounds(ROUNDS)
    every = max(1, rounds // bench.rounds(PEER_ROUNDS))
    created: list[dict[str, Timings]] = []
    removed: list[dict[str, Timings]] = []
    with _Bare() as bare:
        for number in range(rounds):
            due = {
                name: way
                for name, way in ways.items()
                if name == OURS or (number % every == 0 and _is_worth_it(name, created))
            }
            actions = {name: _creating(way) for name, way in due.items()} | bare.actions
            created.append(await in_turns(actions, dict.fromkeys(actions, 1)))
            made = {name: due[name].remove for name in due if created[-1][name].seconds}
            removed.append(await in_turns(made, dict.fromkeys(made, 1)))
            await bare.clean()
    return joined(created), joined(removed)


def _is_worth_it(name: str, created: Sequence[Mapping[str, Timings]]) -> bool:
    """Whether a way has not failed twice without having been seen to work."""
    tried = [part[name] for part in created if name in part]
    return len(tried) < 2 or any(timings.seconds for timings in tried)


def _creating(way: Way) -> Action:
    async def create() -> Took | None:
        took = [await way.create(), await way.run("echo hi")]
        parts = [part.seconds for part in took if isinstance(part, Took)]
        return Took(sum(parts)) if parts else None

    return create


async def _live(way: Way) -> None:
    await way.create()
    await way.run("echo hi")
    await way.remove()


class _Bare:
    """Containers that are nothing but their one command."""

    def __init__(self) -> None:
        self._client = docker.from_env()
        self._garbage: list[Any] = []
        self.actions: dict[str, Action] = {BARE_SDK: self._sdk, BARE_CLI: self._cli}

    def __enter__(self) -> "_Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    async def clean(self) -> None:
        """Removes what the SDK has left."""
        while self._garbage:
            await asyncio.to_thread(self._garbage.pop().remove, force=True)

    async def _sdk(self) -> None:
        script = ["sh", "-c", "echo hi; sleep 60"]
        run = self._client.containers.run
        container = await asyncio.to_thread(lambda: run(BASE, script, detach=True, **HARDENED))
        self._garbage.append(container)
        await asyncio.to_thread(lambda: next(iter(container.logs(stream=True, follow=True))))

    async def _cli(self) -> None:
        options = ["--network=none", "--cap-drop=ALL", "--memory=1g", "--pids-limit=256"]
        await run_program("docker", "run", "--rm", *options, BASE, "echo", "hi")
