"""Recorded real turns for strategies that show examples, two files a kind.

`KIND.jsonl` has a few hard ones, which are always shown: a timeout, a job, a shell that
ends, several statements with an error. `KIND_commands.jsonl` is looked up by an action's commands.
`make examples` plays the scenarios beside them on real sandboxes and records what comes of it. Only
real turns are read here: a file that says otherwise is refused.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plumb_backends.environment import Ending
from plumb_backends.kind import Reply

_FOLDER = Path(__file__).parent
_REAL = "real"
_NO_FACTS = ("action", "observation", "timed_out")
_ENDLESS = 999999
"""What is asked for as the seconds of what would never end by itself."""

_ENDED = {"seconds": 0, "ending": Ending.EXITED.value}
_MOST_ALIKE = 3
_MOST_READ = 2000
"""Characters of an action that are looked at."""

_WORD = re.compile(r"\w+")
_FIRST_WORD = re.compile(r"(?:^|[;|&\n(])\s*([A-Za-z_][\w.+-]*)")


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
    """All that is always shown of a kind; nothing where there is no file."""
    return _episodes(kind)


@functools.cache
def _episodes(name: str) -> tuple[Episode, ...]:
    path = _FOLDER / f"{name}.jsonl"
    if not path.exists():
        return ()
    return tuple(_read(json.loads(line)) for line in path.read_text("utf-8").splitlines())


def examples(kind: str, *, but_not: Sequence[str]) -> tuple[Example, ...]:
    """The examples that a session is always shown.

    Args:
        kind: Its kind.
        but_not: Its init scripts: an episode that shares one with it would give its world away.
    """
    return _turns(episodes(kind), but_not)


def command_examples(kind: str, *, but_not: Sequence[str]) -> tuple[Example, ...]:
    """The examples that are looked up by command; see `examples` and `alike`."""
    return _turns(_episodes(f"{kind}_commands"), but_not)


def alike(known: Sequence[Example], action: str) -> tuple[Example, ...]:
    """The examples with the same commands as an action, the most alike first.

    Args:
        known: All there are.
        action: What was typed.
    """
    wanted, words = _commands(action), set(_WORD.findall(action[:_MOST_READ]))
    scored = [
        (len(wanted & _commands(one.action)), len(words & set(_WORD.findall(one.action))), -at)
        for at, one in enumerate(known)
    ]
    best = sorted((score for score in scored if score[0]), reverse=True)[:_MOST_ALIKE]
    return tuple(known[-at] for _, _, at in best)


def _commands(action: str) -> set[str]:
    """The first words of an action's commands, or statements."""
    return {found.lower() for found in _FIRST_WORD.findall(action[:_MOST_READ])}


def _turns(found: Iterable[Episode], but_not: Sequence[str]) -> tuple[Example, ...]:
    return tuple(
        turn for episode in found if not set(episode.init) & set(but_not) for turn in episode.turns
    )


def _read(data: Any) -> Episode:
    if data["simulator"]["model"] != _REAL:
        raise ValueError(f"{data['scenario']} is no recording of a real session")
    return Episode(tuple(data["init"]), tuple(map(_read_turn, data["turns"])))


def _read_turn(turn: Any) -> Example:
    """A turn as a model should have answered it: what plumb did to stop it is not part of that."""
    facts = {name: turn[name] for name in turn if name not in _NO_FACTS}
    output = turn["observation"]
    if turn.get("timed_out"):
        facts = {"seconds": _ENDLESS, "ending": Ending.TIMED_OUT.value} | facts
        output = output.removesuffix("^C\n")
    return Example(turn["action"], Reply(output, _ENDED | facts))
