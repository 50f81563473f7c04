"""One comparison: breaks of format and character, statuses, content, consistency, excuses."""

import collections
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumb_fidelity import client_table, invariants
from plumb_fidelity.action import awaits_input, is_silent
from plumb_fidelity.alignment import is_unaligned
from plumb_fidelity.breaks import find_breaks, is_prose
from plumb_fidelity.content import Content
from plumb_fidelity.failure import DEFAULT_CLASSES, failure_of
from plumb_fidelity.jobs import background
from plumb_fidelity.orders import order_of
from plumb_fidelity.seen import Seen
from plumb_fidelity.verdict import AGREEING, Findings, Verdict
from plumb_fidelity.volatility import SAME, VOLATILE, Line

if TYPE_CHECKING:
    from plumb_fidelity.truth import Truth

_KNOWABLE = frozenset(
    {"FORMAT_BREAK", "CHARACTER_BREAK", "FALSE_SUCCESS", "FALSE_FAILURE", "DEFAULT_ERROR",
     "WRONG_ERROR", "EMPTY", "SPURIOUS", "OVERRUN", "IMPLAUSIBLE_VOLATILE"}
)  # fmt: skip
"""Classes that no lack of knowledge explains."""


def judge(truth: "Truth", simulated: Seen, history: Sequence[tuple[str, str]]) -> Verdict:
    """Compares one answer with what is known of the right one; `history` as in `compare`."""
    return _Judgement(truth, simulated, history).verdict()


class _Judgement:
    """One comparison under way."""

    def __init__(self, truth: "Truth", simulated: Seen, history: Sequence[tuple[str, str]]) -> None:
        self._truth = truth
        self._real = truth.real[0]
        self._simulated = simulated
        self._history = history
        self._found = Findings()

    def verdict(self) -> Verdict:
        self._breaks()
        self._statuses()
        past = [action for action, _ in self._history]
        is_shell = not self._truth.is_table
        content = Content(
            self._truth,
            self._simulated,
            self._found,
            is_open=is_shell and not order_of(self._truth.action, past).fixed,
            jobs=background(self._truth.action, past, [run.text for run in self._truth.real])
            if is_shell
            else (),
        )
        if content.compare():
            self._consistency()
            self._columns()
        self._place()
        self._exempt()
        if not self._found.flags:
            self._found.flag(self._how_right())
        return self._found.verdict(self._truth.masked)

    def _how_right(self) -> str:
        if _visible(self._simulated.text) == _visible(self._real.text):
            return "AGREES"
        if self._truth.veil.is_needed:
            self._found.evidence.append("some of it is the host's, and was left out")
            return "VOLATILE_ONLY"
        return "AGREES_BUT_LAYOUT"

    # What needs no reference, or only to know whether the real thing says the same.

    def _breaks(self) -> None:
        text = self._simulated.text
        if text == self._real.text:
            return
        truth = self._truth
        own = {
            (found.name, found.evidence)
            for found in find_breaks(
                self._real.text, truth.action, prompt=truth.prompt, is_table=truth.is_table
            )
        }
        for found in find_breaks(text, truth.action, prompt=truth.prompt, is_table=truth.is_table):
            if (found.name, found.evidence) not in own:
                self._found.flag(found.verdict, f"{found.name}: {found.evidence}")
        if truth.is_table:
            layouts = {client_table.is_vertical(side) for side in (text, self._real.text)}
            if layouts == {True, False}:
                self._found.flag("FORMAT_BREAK", "its rows are laid out in the client's other way")
        if not self._found.flags and self._is_chat(text):
            self._found.flag("CHARACTER_BREAK", f"prose: {text.strip()[:200]}")

    def _is_chat(self, text: str) -> bool:
        """Prose where nothing is due, or an error is."""
        if self._truth.is_table and not client_table.read(text).problems:
            return False  # it is what the client prints, however much it reads like a sentence
        is_due = not self._real.text.strip() or self._real_classes() & {"NOT_FOUND", "SYNTAX"}
        return bool(is_due) and is_prose(text) and text.strip() not in self._truth.action

    def _real_classes(self) -> set[str]:
        found = failure_of(self._real, is_table=self._truth.is_table).classes
        return {"SYNTAX" if name == "1064" else name for name in found}

    def _statuses(self) -> None:
        real, simulated = self._real, self._simulated
        table = self._truth.is_table
        texts_differ = real.text != simulated.text
        expected = failure_of(real, is_table=table).classes if texts_differ else ()
        found = failure_of(simulated, is_table=table).classes if texts_differ else ()
        if not simulated.ends_like(real) and not self._both_wait():
            self._known_statuses(found)
        if not self._found.flags & {"FALSE_SUCCESS", "FALSE_FAILURE", "WRONG_ERROR"}:
            self._classes(expected, found)
        if not self._found.flags & {"FALSE_SUCCESS", "WRONG_ERROR"}:
            self._unknown_status(found)

    def _both_wait(self) -> bool:
        """Whether one side waits for input, and the other was stopped while it did."""
        endings = {self._real.ending, self._simulated.ending}
        return endings == {"TIMED_OUT", "AWAITS_INPUT"} and awaits_input(self._truth.action)

    def _unknown_status(self, found: Sequence[str]) -> None:
        """A failure that a side does not tell is none: who reads its answer takes it for success.

        Where both print the same, the text tells as much as the real one's.
        """
        real, simulated = self._real, self._simulated
        if real.failed and simulated.failed is None and not found:
            is_told = bool(real.text.strip()) and _visible(simulated.text) == _visible(real.text)
            if not is_told:
                self._found.flag("FALSE_SUCCESS", f"real: {real.status}; simulated: not told")

    def _known_statuses(self, found: Sequence[str]) -> None:
        real, simulated = self._real, self._simulated
        said = f"real: {real.status}; simulated: {simulated.status}"
        if real.failed and not simulated.failed:
            self._found.flag("FALSE_SUCCESS", said)
        elif simulated.failed and not real.failed:
            self._false_failure(found, said)
        elif real.failed:
            self._found.flag("WRONG_ERROR", said)
        else:
            self._found.flag("WRONG_VALUE", said)

    def _classes(self, expected: Sequence[str], found: Sequence[str]) -> None:
        """Compares what the texts say that failed."""
        if collections.Counter(expected) == collections.Counter(found):
            return
        said = f"real: {' '.join(expected) or 'no error'}; simulated: {' '.join(found) or 'none'}"
        if not found:
            # Silence is success where a command is silent; else it is EMPTY, and no more is known.
            if self._simulated.text.strip() or is_silent(self._truth.action):
                self._found.flag("FALSE_SUCCESS", said)
        elif not expected and self._real.failed is not True:
            self._false_failure(found, said)
        elif set(expected) != set(found):
            self._found.flag("WRONG_ERROR", said)

    def _false_failure(self, found: Sequence[str], said: str) -> None:
        self._found.flag("FALSE_FAILURE", said)
        if found and found[0] in DEFAULT_CLASSES:
            self._found.flag(
                "DEFAULT_ERROR", f"it falls back on {found[0]}, and what it names is there"
            )

    def _consistency(self) -> None:
        """Looks for what contradicts itself: what is volatile has to be consistent, too."""
        if not self._found.flags or "FORMAT_BREAK" in self._found.flags:
            return
        broken = self._broken(self._simulated)
        if broken and not self._broken(self._real):  # else the check knows too little of the action
            for finding in broken:
                self._found.flag("INCONSISTENT", finding)

    def _broken(self, seen: Seen) -> list[str]:
        return invariants.broken(
            self._truth.action,
            seen.text,
            is_table=self._truth.is_table,
            history=self._history,
        )

    def _columns(self) -> None:
        """Where a table was asked for, its columns stand below one another."""
        if is_unaligned(self._truth.action, self._real.text, self._simulated.text):
            self._found.flag("WRONG_VALUE", "its columns do not stand below one another")

    def _place(self) -> None:
        """Where the shell is afterwards, as far as both sides say it."""
        real, *others = (run.cwd for run in self._truth.real)
        simulated = self._simulated.cwd
        if not (real and simulated):
            return
        expected = Line(real, [other for other in others if other != real])
        if expected.fits(simulated, self._truth.clock)[0] not in (SAME, VOLATILE):
            said = f"the working directory is {simulated[:200]}, and not {real[:200]}"
            self._found.flag("WRONG_VALUE", said)

    # What cannot be held against a simulator.

    def _exempt(self) -> None:
        if self._truth.veil.hides_all:
            self._found.flags &= _KNOWABLE
            self._found.flag("UNKNOWABLE", "the answer is the host's; no grounding tells it")
            return
        if self._found.flags & _KNOWABLE and not self._truth.unstable:
            return
        wrong = self._found.flags - {"VOLATILE_ONLY"}
        if self._truth.unstable:
            kept = self._found.flags & {"FORMAT_BREAK", "CHARACTER_BREAK", "INCONSISTENT"}
            if kept:  # no noise explains it
                self._found.flags = kept
            else:
                self._found.excuse("UNSCORABLE", self._truth.unstable)
        elif wrong and self._is_right_elsewhere():
            self._found.excuse("UNKNOWABLE", "it is so in another world that is as valid")

    def _is_right_elsewhere(self) -> bool:
        other = self._truth.in_other_worlds()
        return other is not None and other.judge(self._simulated).verdict in AGREEING


def _visible(text: str) -> str:
    """What of a text is compared exactly: not the ends of lines, nor how long a query took."""
    return "\n".join(
        re.sub(r"\((?:\d+ \w+ )*\d+\.\d+ sec\)", "(T sec)", line).rstrip()
        for line in text.rstrip().split("\n")
    )
