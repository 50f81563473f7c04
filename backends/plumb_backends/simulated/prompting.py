"""Prompts: one Markdown file each, found by looking into `prompts/`.

The first line says name, version and purpose: `<!-- grounded v1: also tells the init scripts -->`.
A strategy is a file of `prompts/strategies/`, or of the folder that the server was given; adding
one is adding a file. What is `$role`, `$rules`, `$task`, `$examples`, `$card`, `$scripts` or
`$state` in it is filled in; `$ledger` says that the model keeps one (see `ledger`), `$tools` that
it may call an interpreter (see `tools`). See docs/simulators.md.
"""

import dataclasses
import functools
import re
import string
from collections.abc import Mapping
from pathlib import Path

from plumb_backends.errors import InvalidInput
from plumb_backends.simulated.cassette import digest_of

_FOLDER = Path(__file__).parent / "prompts"
_HEAD = re.compile(r"<!-- (?P<name>[a-z0-9_]+) v(?P<version>\d+): (?P<purpose>.+) -->")
STRATEGY_FIELDS = frozenset(
    {"role", "rules", "task", "examples", "card", "scripts", "state", "ledger", "tools"}
)


class BadPrompt(Exception):
    """A prompt's file is not as it should be; the message says which and how to mend it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        name: The file's name without its ending.
        version: Counts up with every change of meaning.
        purpose: What it is for, in a few words.
        text: What is behind the first line.
    """

    name: str
    version: int
    purpose: str
    text: str

    def fill(self, **values: str) -> str:
        """The text, its fields filled in; what it does not name is left out."""
        return string.Template(self.text).substitute(values).strip()

    @property
    def fields(self) -> frozenset[str]:
        """What it names."""
        return frozenset(string.Template(self.text).get_identifiers())


def read_prompt(path: Path) -> Prompt:
    """Reads one prompt.

    Raises:
        BadPrompt: Its first line, or one of its fields, is not as it should be.
    """
    first, _, text = path.read_text(encoding="utf-8").partition("\n")
    head = _HEAD.fullmatch(first.strip())
    if head is None or head["name"] != path.stem:
        raise BadPrompt(
            f"{path}: the first line is {first[:80]!r}; "
            f"write <!-- {path.stem} v1: what it is for -->"
        )
    if not string.Template(text).is_valid():
        raise BadPrompt(f"{path}: a $ stands alone; write $$ for a dollar sign")
    return Prompt(path.stem, int(head["version"]), head["purpose"], text)


@functools.cache
def shipped(name: str) -> Prompt:
    """One of the prompts that are no strategies."""
    return read_prompt(_FOLDER / f"{name}.md")


def read_strategies(folder: Path | None = None) -> Mapping[str, Prompt]:
    """All strategies, by name, sorted; those of the given folder go before the shipped ones.

    Raises:
        BadPrompt: A file is not as it should be, or the folder is not there.
    """
    if folder is not None and not folder.is_dir():
        raise BadPrompt(f"{folder} is no folder; set PLUMB_SIMULATOR_STRATEGIES to one")
    folders = [_FOLDER / "strategies", *([folder] if folder else [])]
    found = {path.stem: path for one in folders for path in sorted(one.glob("*.md"))}
    strategies = {name: read_prompt(path) for name, path in sorted(found.items())}
    for name, prompt in strategies.items():
        unknown = sorted(prompt.fields - STRATEGY_FIELDS)
        if unknown:
            raise BadPrompt(
                f"{found[name]}: there is no field ${unknown[0]}; "
                f"use {', '.join('$' + field for field in sorted(STRATEGY_FIELDS))}"
            )
    return strategies


def choose_strategy(strategies: Mapping[str, Prompt], name: str) -> Prompt:
    """One strategy.

    Raises:
        InvalidInput: There is none of this name.
    """
    if name not in strategies:
        raise InvalidInput(f"simulator.strategy is {name!r}; use one of: {', '.join(strategies)}")
    return strategies[name]


def hash_of(*prompts: Prompt) -> str:
    """Twelve hexadecimal digits that change with any change of any of the prompts."""
    return digest_of([dataclasses.astuple(prompt) for prompt in prompts])[:12]
