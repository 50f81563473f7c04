"""Recordings of other people's terminals: what the command wrote, without echo and prompt.

Such a recording carries no marks of ours, so only what the shell itself leaves can tell where
the echo ends and the prompt begins: readline switches bracketed paste on where it begins to read
a line and off where it has read one, and many prompts set the window's title just before their
text. What neither of these nor the caller vouches for is taken for output and stays. A prompt
left over can be seen and removed later; output taken away is lost, and a comparison would blame
the program for it.

Our own sessions carry marks and need none of this. How text is shown is `signature.render`'s.
"""

import re

from plumb_fidelity.signature import render

_READING = b"\x1b[?2004h"  # bracketed paste on: the shell reads a line
_READ = b"\x1b[?2004l"  # bracketed paste off: the line is read, the command runs

_TITLES = rb"(?:\x1b\][^\x07\x1b\n]*+(?:\x07|\x1b\\))*+"
_LINE = rb"(?:[^\n\x1b]++|\x1b(?!\[\?2004[hl]))*+\n"
# The first line may lack the beginning, as recorders drop it; each further one is read at once
# after the one before, so that no output can lie between them.
_MARKED_ECHO = re.compile(
    _TITLES
    + rb"(?:(?:\x1b\[\?2004h)?+"
    + _LINE
    + rb")?+\x1b\[\?2004l\r?+(?:"
    + _TITLES
    + rb"\x1b\[\?2004h"
    + _LINE
    + rb"\x1b\[\?2004l\r?+)*+"
)
_WHO = r"[^\s@:;()\[\]#$%>\x07\x1b]++@[^\s@:;()\[\]#$%>\x07\x1b]++"
_TITLE = re.compile(
    rb"\x1b\][012];(?P<who>" + _WHO.encode() + rb")?+[^\x07\x1b\n]*+(?:\x07|\x1b\\)"
)
_PROMPT = re.compile(
    r"(?:\([^()]*+\) ?)?+"  # an environment's name
    r"\[?+(?P<who>" + _WHO + r")[^#$%>]*+[#$%>] ?"
)
_SIGN = re.compile(r"[#$%>] ?")


def strip(raw: bytes | str, *, command: str = "", prompt: str = "") -> str:
    r"""Returns what a command wrote, as a person would read it, of a recording without our marks.

    Pure, and linear in the size of the recording. A result ends its lines with LF and holds no
    control character but LF and tab, so that stripping it again, without `prompt`, changes
    nothing. With `prompt` a second call would take the same text for a second prompt.

    The echo goes from the beginning only, in these shapes::

        ls -1 /etc | wc -l\r\n ESC[?2004l \r ...    the codes show its end; the start may be cut
        for i in 1 2; do\r\n ESC[?2004l \r ESC[?2004h> done\r\n ESC[?2004l \r ...
        ls\r\n...                                   only with command="ls"
        cat <<X\r\n> one\r\n> X\r\n...              only with that command

    The prompt goes from the very end only, in these::

        ... ESC[?2004h PROMPT                       any prompt of one line
        ... ESC]0;root@host: /tmp BEL PROMPT        `user@host`, directory, sign; or the sign alone
        ...\n PROMPT                                if its `user@host` is the last title's
        ... PROMPT                                  only with that prompt=

    Whatever stands before it on its line stays, for it is the end of the output. Prompts in the
    middle of a recording stay, as files hold such lines too.

    Args:
        raw: The recording. Text may hold lone surrogates; they are shown as U+FFFD.
        command: What was typed, if known; needed where the recording has no bracketed paste. It
            is removed only as a terminal echoes it, from the first line and with CR LF, so that
            text which is clean already does not lose a first line that equals the command.
        prompt: The last known prompt, literally (colour and titles in it do not matter). A
            recording that lacks its trailing space is recognised too, on a line of its own or
            if the prompt names a `user@host`; `$` alone also ends a sum of money.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    known = render(prompt.encode(errors="surrogatepass"))
    output = data[_echo_end(data, command.strip("\n"), known) :]
    start = _prompt_start(output)
    if start is not None:
        return render(output[:start])
    # After the last "off" the command still runs: what the line ends with is its own.
    running = data.rfind(_READ) > data.rfind(_READING)
    return render(output) if running else _without_known(render(output), known)


def _echo_end(data: bytes, command: str, prompt: str) -> int:
    marked = _MARKED_ECHO.match(data)
    if marked is not None:
        return marked.end()
    if not command:
        return 0
    return _pasted_end(data, command, prompt) or _typed_end(data, command, prompt)


def _pasted_end(data: bytes, command: str, prompt: str) -> int:
    """Returns where a block that was pasted as one ends: its lines have no `> `."""
    end = max(data.find(_READ), 0)
    block = data[:end].removesuffix(b"\n").removesuffix(b"\r")
    return end if _shows(block, command, prompt + command) else 0


def _typed_end(data: bytes, command: str, prompt: str) -> int:
    first, *others = command.split("\n")
    whole = first_end = _line_end(data, 0, first, prompt + first)
    for line in others:
        whole = whole and _line_end(data, whole, "> " + line)
    return whole or first_end


def _line_end(data: bytes, start: int, *readings: str) -> int:
    """Returns where the line at `start` ends, or 0 if it is not an echo of these readings."""
    end = data.find(b"\n", start)
    if end <= start or data[end - 1 : end] != b"\r":
        return 0
    return end + 1 if _shows(data[start : end - 1], *readings) else 0


def _shows(echo: bytes, *readings: str) -> bool:
    # Readline goes on to the terminal's next line with a space and a return.
    return render(echo) in readings or render(echo.replace(b" \r", b"")) in readings


def _prompt_start(data: bytes) -> int | None:
    line_start = data.rfind(b"\n") + 1
    mark = data.rfind(_READING, line_start)
    # With nothing shown after it, the mark is one of those shells that set it after the prompt.
    if mark >= 0 and data.find(_READ, mark) < 0 and render(data[mark:]):
        return mark
    return _titled_prompt_start(data, line_start)


def _titled_prompt_start(data: bytes, line_start: int) -> int | None:
    title = max(_TITLE.finditer(data), key=lambda found: found.start(), default=None)
    if title is None:
        return None
    if title.start() >= line_start:
        shown = render(data[title.end() :])
        is_prompt = _PROMPT.fullmatch(shown) or _SIGN.fullmatch(shown)
        return title.start() if is_prompt else None
    found = _PROMPT.fullmatch(render(data[line_start:]))
    return line_start if found and found["who"].encode() == title["who"] else None


def _without_known(text: str, prompt: str) -> str:
    bare = prompt.rstrip(" ")
    if not bare.strip():
        return text
    if text.endswith(prompt):
        return text.removesuffix(prompt)
    is_certain = "@" in bare or text.rpartition("\n")[2] == bare
    return text.removesuffix(bare) if is_certain else text
