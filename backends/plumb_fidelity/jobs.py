"""What a shell tells of its jobs by itself: at its next prompt, whenever that is.

Nobody can know between which lines `[1]+  Done` comes, nor after which action, unless the action
asks for jobs or waits for them.
"""

import re
from collections.abc import Sequence

_NOTICE = re.compile(
    r"\[\d+\][+-]? +(?:Done|Exit \d+|Terminated|Killed|Hangup|Interrupt|Aborted|Segmentation fault)"
    r"(?:\(\d+\))?(?: .*)?"
)
_STARTED = re.compile(r"(?<![&>|<])&(?![&>])")
_ASKED = re.compile(r"\b(?:jobs|wait|fg|bg|kill|pkill|killall|disown)\b")
_LONGEST = 32 * 1024


def may_tell(action: str, past: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a shell may tell of a job while an action runs that does not ask for any.

    Args:
        action: What was typed.
        past: What was typed before, as far as it is known.
        printed: What real runs printed: where one tells of a job there is one.
    """
    if len(action) > _LONGEST or _ASKED.search(action):
        return False
    if any(_STARTED.search(text) for text in (action, *past) if len(text) <= _LONGEST):
        return True
    return any("[" in text and any(map(is_notice, text.split("\n"))) for text in printed)


def is_notice(line: str) -> bool:
    """Whether a line tells how a job ended."""
    return bool(_NOTICE.fullmatch(line.rstrip()))


def without_notices(text: str) -> str:
    """A text without the lines that tell how jobs ended."""
    if "[" not in text:
        return text
    return "".join(line for line in text.splitlines(keepends=True) if not is_notice(line))
