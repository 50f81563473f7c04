"""What a shell tells of its jobs by itself: at its next prompt, whenever that is.

Nobody can know between which lines `[1]+  Done` comes, nor after which action, unless the action
asks for jobs or waits for them.
"""

import re
from collections.abc import Sequence

_NOTICE = re.compile(
    r"\[\d+\][+-]? +(?:Done|Exit \d+|Terminated|Killed|Hangup|Interrupt|Aborted|Segmentation fault)"
    r"(?:\(\d+\))?(?: (.*))?"
)
_STARTED = re.compile(r"(?<![&>|<])&(?![&>])")
_ASKED = re.compile(r"\b(?:jobs|wait|fg|bg|kill|pkill|killall|disown)\b")
_LONGEST = 32 * 1024
_MOST_JOBS = 16
_COMPARED = 12  # characters of a command; a shell writes the rest in its own way


def background(action: str, past: Sequence[str], printed: Sequence[str]) -> tuple[str, ...]:
    """What may run in the background, as it was typed; () where the shell tells of nothing.

    Args:
        action: What was typed.
        past: What was typed before, as far as it is known.
        printed: What real runs printed: where one tells of a job there is one.
    """
    if len(action) > _LONGEST or _ASKED.search(action):
        return ()
    started = [text for text in (action, *past) if len(text) <= _LONGEST and _STARTED.search(text)]
    told = [line for text in printed if "[" in text for line in text.split("\n") if is_notice(line)]
    return tuple(dict.fromkeys((*started, *told)))[:_MOST_JOBS]


def is_notice(line: str) -> bool:
    """Whether a line tells how a job ended."""
    return bool(_NOTICE.fullmatch(line.rstrip()))


def is_of_any(line: str, jobs: Sequence[str]) -> bool:
    """Whether a notice is of something that was started."""
    found = _NOTICE.fullmatch(line.rstrip())
    command = (found[1] or "").strip().strip("()").strip() if found else ""
    return any(command[:_COMPARED] in job for job in jobs)


def without_notices(text: str, jobs: Sequence[str]) -> str:
    """A text without the lines that tell how jobs ended, one for each job."""
    kept, left = [], len(jobs)
    for line in text.splitlines(keepends=True):
        if left and is_notice(line) and is_of_any(line, jobs):
            left -= 1
        else:
            kept.append(line)
    return "".join(kept)
