"""What a terminal adds round the output of a command: the echo before it, the prompt behind it.

Pure. This is what an interactive bash with readline sends, as recordings of real sessions have it;
for environments that are played, so that nothing tells them from real ones.
"""

import re

_LINE_END = re.compile(rb"(?<!\r)\n")
_ANNOUNCED, _TAKEN_BACK = b"\x1b[?2004h", b"\x1b[?2004l\r"  # bracketed paste
_TAB = 8


def with_returns(output: bytes) -> bytes:
    """An output as a terminal sends it: a carriage return before each line end."""
    return _LINE_END.sub(b"\r\n", output)


def around(
    printed: bytes,
    typed: bytes,
    *,
    prompt_before: str,
    prompt: str,
    title: str,
    dumb: bool,
    is_unfinished: bool = False,
) -> bytes:
    """What a terminal sends from an action to the next prompt.

    Args:
        printed: The output, with carriage returns.
        typed: The action.
        prompt_before: The prompt that it was typed at: tabs are told by where they stand.
        prompt: The prompt behind it.
        title: The title that the prompt sets.
        dumb: Whether the terminal is dumb: no title, no bracketed paste.
        is_unfinished: Whether the last line printed is a prompt for more, which was cancelled.
    """
    if is_unfinished:
        printed = _cancelled(printed, dumb=dumb)
    if dumb:
        echo = _without_tabs(typed.replace(b"\n", b"^J"), len(prompt_before))
        return echo + b"\r\n" + printed + prompt.encode()
    lines = typed.rstrip(b"\n").split(b"\n")
    first = _without_tabs(lines[0], len(prompt_before))
    echo = b"\r\n\r".join((first, *(_without_tabs(line, 0) for line in lines[1:])))
    named = b"\x1b]0;" + title.encode() + b"\x07"
    return echo + b"\r\n" + _TAKEN_BACK + printed + _ANNOUNCED + named + prompt.encode()


def _cancelled(printed: bytes, *, dumb: bool) -> bytes:
    """What was printed, with Ctrl-C typed at the prompt for more that stands at its end."""
    if dumb:
        return printed + b"^C\r\n"
    begins = printed.rfind(b"\n") + 1
    prompt = _ANNOUNCED + printed[begins:] + b"^C" + _TAKEN_BACK
    return printed[:begins] + prompt + _ANNOUNCED + _TAKEN_BACK + b"\r\n"


def _without_tabs(line: bytes, column: int) -> bytes:
    """A line as readline shows it: tabs are spaces up to the next stop."""
    if b"\t" not in line:
        return line
    shown: list[bytes] = []
    for piece in line.split(b"\t"):
        column += len(piece.decode(errors="replace"))
        shown += [piece, b" " * (_TAB - column % _TAB)]
        column += len(shown[-1])
    return b"".join(shown[:-1])
