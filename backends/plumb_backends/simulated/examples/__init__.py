"""Recorded real turns, one file a kind, for strategies that show examples.

`make examples` plays the scenarios beside them on real sandboxes and records what comes of it. Only
real turns are read here: a file that says otherwise is refused.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumb_backends.kind import Reply

_FOLDER = Path(__file__).parent
_REAL = "real"
_NO_FACTS = ("action", "observation")


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One recorded turn."""

    action: str
    reply: Reply


@dataclasses.dataclass(frozen=True, slots=True)
class Episode:
    """One recorded episode; `init` are the scripts that it began with."""

    init: tuple[str, ...]
    turns: tuple[Example, ...]


@functools.cache
def episodes(kind: str) -> tuple[Episode, ...]:
    """All that is shipped for a kind; nothing where there is no file."""
    path = _FOLDER / f"{kind}.jsonl"
    if not path.exists():
        return ()
    return tuple(_read(json.loads(line)) for line in path.read_text("utf-8").splitlines())


def examples(kind: str, *, but_not: Sequence[str]) -> tuple[Example, ...]:
    """The examples for a session.

    Args:
        kind: Its kind.
        but_not: Its init scripts: an episode that shares one with it would give its world away.
    """
    return tuple(
        turn
        for episode in episodes(kind)
        if not set(episode.init) & set(but_not)
        for turn in episode.turns
    )


def _read(data: Any) -> Episode:
    if data["simulator"]["model"] != _REAL:
        raise ValueError(f"{data['scenario']} is no recording of a real session")
    return Episode(
        tuple(data["init"]),
        tuple(
            Example(
                turn["action"],
                Reply(
                    turn["observation"],
                    {"seconds": 0} | {name: turn[name] for name in turn if name not in _NO_FACTS},
                ),
            )
            for turn in data["turns"]
        ),
    )
