"""What stopping an action prints, which is content of no side.

An action that runs into its timeout is stopped by whoever runs it: with Ctrl-C first, then with
signals. The terminal echoes `^C`, a shell says `Terminated`, Python prints a traceback, `su` ends
its session. Nobody can know which of these it will be, and nothing of it was asked for. An action
that awaits input is cancelled; the prompt that asked for more is left.
"""

import dataclasses
import re
from collections.abc import Iterable

from plumb_fidelity.seen import STOPPED, Seen

_ECHO = re.compile(r"(?:\^C)++(?=\n|\Z|\w)")
_BEHIND = 4096  # characters that handlers of the stop may print behind its echo
_MOST_LINES = 64  # that a stop prints; more is an answer
_TRACEBACK = re.compile(r"(?:\^C)?Traceback \(most recent call last\):$")
_INTERRUPTED = re.compile(r"KeyboardInterrupt\b|asyncio\.exceptions\.CancelledError")
_SIGNAL = r"(?:Terminated|Killed|Hangup|Interrupt|Quit)"
_REPORT = re.compile(
    rf"(?:>>> )?(?:[\w./-]+: (?:line \d+: )?\s*(?:\d+ )?|\[\d+\][+-]?\s+(?:\d+ )?)?{_SIGNAL}"
    r"(?:: \d+)?(?:\s.*)?|\s*\.\.\.(?:killed|terminated)\.?|Session terminated\b.*"
)
_CONTINUED = re.compile(r"\s*(?:>\s*)+")
_DUMPED = re.compile(
    r"^((?:[\w./-]{1,100}: (?:line \d+: )? *(?:\d+ )?)?(?:Segmentation fault|Aborted|Bus error|Quit"
    r"|Illegal instruction|Floating point exception|Trace/breakpoint trap|Bad system call) *)"
    r"\(core dumped\)",
    re.MULTILINE,
)


def without_stop(seen: Seen, endings: Iterable[str]) -> Seen:
    """An observation without what its stop printed, nor whether a core was dumped.

    Args:
        seen: The observation.
        endings: How both sides ended: one that was stopped shows what the other need not.
    """
    text = seen.text
    if "(core dumped)" in text:  # the host's limits decide about that
        text = _DUMPED.sub(lambda found: found[1].rstrip(), text)
    stops = STOPPED.intersection(endings)
    if stops:
        text = _cut(text, is_open="AWAITS_INPUT" in stops)
    return seen if text == seen.text else dataclasses.replace(seen, text=text)


def _cut(text: str, *, is_open: bool) -> str:
    echoes = list(_ECHO.finditer(text, max(0, len(text) - _BEHIND)))
    lines = (text[: echoes[-1].start()] if echoes else text).split("\n")
    first = max(len(lines) - _MOST_LINES, 0)
    while len(lines) > first and (not lines[-1].strip() or _is_of_stop(lines[-1], is_open=is_open)):
        lines.pop()
    kept = "\n".join(_without_traceback(lines))
    return kept + "\n" if kept and len(kept) < len(text) else kept


def _is_of_stop(line: str, *, is_open: bool) -> bool:
    if len(line) > _BEHIND:
        return False
    return bool(_REPORT.fullmatch(line) or (is_open and _CONTINUED.fullmatch(line)))


def _without_traceback(lines: list[str]) -> list[str]:
    """Takes a traceback off the end whose last line says that it was interrupted."""
    if not lines or not _INTERRUPTED.match(lines[-1]):
        return lines
    for at in range(len(lines) - 1, -1, -1):
        if _TRACEBACK.match(lines[at]):
            return lines[:at]
    return lines[:-1]
