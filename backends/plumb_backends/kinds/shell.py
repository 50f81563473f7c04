"""The kind `shell`: an interactive bash on a terminal of a Linux machine, as root."""

import dataclasses
import re
import signal
from collections.abc import Mapping
from typing import Any

from plumb_backends.echo import around, with_returns
from plumb_backends.environment import Action, Ending, Observation, ShellDetail
from plumb_backends.errors import InvalidInput
from plumb_backends.kind import Kind, Reply, card_line
from plumb_fidelity import rules

DEFAULT_HOSTNAME = "sandbox"
DEFAULT_TEXT_BYTES = 64 * 1024
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 1024, 1024 * 1024

HOME, USER = "/root", "root"

_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
_INTERRUPTED = 128 + signal.SIGINT
_MOST_STATUS = 255
_KILLED = 128 + signal.SIGKILL
_STOPPED = (Ending.TIMED_OUT, Ending.OUTPUT_LIMIT, Ending.INTERRUPTED, Ending.AWAITS_INPUT)
_BY_STATUS = (Ending.EXITED, Ending.SIGNALED)
_ENDINGS = (
    Ending.EXITED,
    Ending.SIGNALED,
    Ending.TIMED_OUT,
    Ending.OUT_OF_MEMORY,
    Ending.OUTPUT_LIMIT,
    Ending.INTERRUPTED,
    Ending.SHELL_EXITED,
    Ending.AWAITS_INPUT,
)
_PROMPT_FOR_MORE = re.compile(r"(?:\A|\n)> \n\Z")
_MOST_PATH = 4096
_MOST_QUOTED = 80
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShellOptions:
    """What a session of this kind can be told.

    Attributes:
        image: Tag or digest of the image; empty for the server's.
        hostname: The host name inside: 1 to 63 letters, digits and hyphens.
        dumb_terminal: Whether the terminal is dumb: no colour, no title, no bracketed paste.
        max_text_bytes: The most bytes of `Observation.text` and of `Observation.raw`, each.
        use_image_user: Whether everything runs as the image's USER, in its WORKDIR; else as root,
            in /root.

    Raises:
        InvalidInput: A value is out of its range.
    """

    image: str = ""
    hostname: str = DEFAULT_HOSTNAME
    dumb_terminal: bool = False
    max_text_bytes: int = DEFAULT_TEXT_BYTES
    use_image_user: bool = False

    def __post_init__(self) -> None:
        if not _HOSTNAME.fullmatch(self.hostname):
            raise InvalidInput(
                f"shell.hostname is {self.hostname!r}; use 1 to 63 letters, digits and hyphens"
            )
        if not MIN_TEXT_BYTES <= self.max_text_bytes <= MAX_TEXT_BYTES:
            raise InvalidInput(
                f"shell.max_text_bytes is {self.max_text_bytes}; "
                f"use {MIN_TEXT_BYTES} to {MAX_TEXT_BYTES}"
            )


def check_action(text: bytes) -> None:
    """Checks that something can be typed on a terminal.

    Raises:
        InvalidInput: It holds a control character that the terminal itself would act on.
    """
    found = _FORBIDDEN.search(text)
    if found:
        raise InvalidInput(
            f"the action holds the control character 0x{found[0][0]:02x} at byte {found.start()}, "
            "which a terminal acts on instead of passing it on; "
            f"write it as $'\\x{found[0][0]:02x}'"
        )


class _Part:
    """How a shell is played; see `Part`."""

    facts: Mapping[str, Mapping[str, object]] = {
        "exit_code": {"type": "integer", "description": "what $? has next, 0 to 255"},
        "cwd": {"type": "string", "description": "the working directory afterwards, absolute"},
        "seconds": {
            "type": "number",
            "description": "how long it runs by itself, were it not stopped; 999999 if it would "
            "never end",
        },
        "ending": {
            "type": "string",
            "enum": [ending.value for ending in _ENDINGS],
            "description": "how it ends: `exited` by itself, whatever its status; `signaled`: "
            "killed by a signal n, with exit_code 128+n; `timed_out`: stopped when its time is up; "
            "`out_of_memory`: killed by the kernel for memory, with exit_code 137; `output_limit`: "
            "stopped because it prints without end; `interrupted`: stopped from outside by Ctrl-C "
            "before its time was up, which only who watches can do; `shell_exited`: it ended the "
            "shell itself; `awaits_input`: it is unfinished input",
        },
    }
    endings_how = """\
- An action that still runs when its time is up is stopped with Ctrl-C: the output is what it \
printed until then, `$?` is 130, and what would have come later never happens.
- A program that reads the terminal (`cat`, `read x`, an editor, a nested shell) waits for nobody, \
and is stopped when its time is up. A job in the background goes on.
- `exit`, `exec`, a failure after `set -e` and a signal to the shell itself end the shell: \
`ending` is `shell_exited`, and `exit_code` the shell's own status. A new shell has taken its \
place before the next action: in the same directory, with the same files; variables, functions, \
options and jobs are gone, and `$?` is 0.
- Unfinished input (an open quote, a heredoc without its end, `if` without `fi`) is cancelled at \
once: nothing of the open command runs, the output ends with the prompt that asks for more (`> `), \
and `$?` is 130."""
    questions: Mapping[str, str] = {
        "cwd": "What is the shell's working directory? One entry: key `cwd`, value the absolute "
        "path.",
        "files": "Which paths differ now from the freshly installed machine? One entry for each "
        "file, directory and link that was added or changed: key the absolute path, value "
        "`type file, mode 644, owner root:root, size 3, sha256 ...` (the sha256 only where you can "
        "know it), `type directory, mode 755, owner root:root` or `type link, target ...`; and one "
        "with the value `type deleted` for each that was removed.",
        "environment": "Who is there, and what runs in the background? One entry for root and each "
        "account from uid 1000 on: key `user NAME`, value `uid 1000, gid 1000, home /home/x, shell "
        "/bin/bash`; one for each group from gid 1000 on, or with members: key `group NAME`, value "
        "`gid 1000, members a,b` or `gid 1000, members (none)`; one for each background process: "
        "key `process COMMAND LINE`, value `user root`, or `user root, count 2` where it runs "
        "twice; one for each variable that the shell began with: key `variable NAME`, value "
        "`value ...`.",
    }

    scripts_how = "Each script is bash, run as root in the home directory; begin it with `set -eu`."
    check_how = "a bash command that ends with status 0 if it is, and with another one if not."

    def role(self, options: ShellOptions, card: str = "") -> str:
        who, where = f"The user is {USER}", f"the first working directory is {HOME}, "
        if options.use_image_user:
            who, where = "The user and the first working directory are the image's own", ""
        system = card_line(card, "system") or "Linux machine"
        terminal = "a dumb terminal" if options.dumb_terminal else "a terminal (120 by 40, UTF-8)"
        return (
            f"an interactive bash on {terminal} of a minimal {system} without "
            f"network. {who}, the host is called {options.hostname}, {where}and the time zone is "
            "UTC. Standard output and standard "
            "error both go to the terminal, in the order in which they are written; bash names "
            "itself as `bash: ...` in its own errors."
        )

    def prompt(self, options: ShellOptions) -> str:
        return rules.shell(user=USER, hostname=options.hostname).prompt

    def is_table(self, options: ShellOptions) -> bool:
        return False

    def reads_like_recordings(self, options: ShellOptions) -> bool:
        return True

    def check(self, action: Action) -> None:
        check_action(action.text)

    def check_facts(self, facts: Mapping[str, Any]) -> str:
        if not 0 <= facts.get("exit_code", 0) <= _MOST_STATUS:
            return f"exit_code is {facts['exit_code']}, not 0 to {_MOST_STATUS}"
        ending, status = facts.get("ending"), facts.get("exit_code", _KILLED)
        if ending == Ending.OUT_OF_MEMORY.value and status != _KILLED:
            return f"ending is out_of_memory and exit_code {status}, not {_KILLED}"
        cwd = str(facts.get("cwd", "/"))
        if not cwd.startswith("/"):
            return f"cwd is {cwd[:_MOST_QUOTED]!r}, which is not absolute"
        if len(cwd) > _MOST_PATH or not cwd.isprintable():
            return f"cwd is {cwd[:_MOST_QUOTED]!r}, which no shell would be in"
        return ""

    def settle(self, ending: Ending, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        status = facts.get("exit_code")
        if ending in _STOPPED:
            status = _INTERRUPTED
        if ending in _BY_STATUS and status is not None:  # as bash reports it, whoever ended it
            ending = Ending.SIGNALED if _signal_of(status) else Ending.EXITED
        settled = {**facts, "ending": ending.value}
        return settled if status is None else {**settled, "exit_code": status}

    def recall(self, text: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"exit_code": 0, "seconds": 0, "ending": Ending.EXITED.value, **facts}

    def at_rest(self, facts: Mapping[str, Any], options: ShellOptions) -> Mapping[str, Any]:
        if not facts:
            return {"exit_code": 0} if options.use_image_user else {"exit_code": 0, "cwd": HOME}
        if facts.get("ending") == Ending.SHELL_EXITED.value:  # a new shell
            facts = {**facts, "exit_code": 0}
        return {name: facts[name] for name in ("exit_code", "cwd") if name in facts}

    def tidy(self, text: str, ending: Ending) -> str:
        if ending is Ending.AWAITS_INPUT:
            return _at_prompt_for_more(text)
        return text if not text or text.endswith("\n") else text + "\n"

    def printed(self, output: bytes, ending: Ending, options: ShellOptions) -> bytes:
        if ending is Ending.AWAITS_INPUT:
            return with_returns(_at_prompt_for_more(output.decode(errors="replace")).encode())
        ends = not output or output.endswith(b"\n")
        return with_returns(output if ends else output + b"\n")

    def on_terminal(
        self, printed: bytes, action: Action, seen: Observation, options: ShellOptions
    ) -> bytes:
        cwd = (seen.shell and seen.shell.cwd) or HOME  # something has to stand in a prompt
        shown = "~" + cwd.removeprefix(HOME) if f"{cwd}/".startswith(f"{HOME}/") else cwd
        place = f"{USER}@{options.hostname}:"
        return around(
            printed,
            action.text,
            prompt_before=f"{place}{shown}# ",
            prompt=f"{place}{shown}# ",
            title=f"{place} {shown}",
            dumb=options.dumb_terminal,
            is_unfinished=seen.ending is Ending.AWAITS_INPUT,
        )

    def complete(self, seen: Observation, reply: Reply, options: ShellOptions) -> Observation:
        status = reply.facts.get("exit_code")
        died = seen.ending in (Ending.SIGNALED, Ending.OUT_OF_MEMORY)
        return dataclasses.replace(
            seen,
            exit_code=status,
            signal=_signal_of(status) if died and status is not None else None,
            shell=ShellDetail(
                cwd=reply.facts.get("cwd", ""),
                user=USER,
                host=options.hostname,
                restarted=seen.ending is Ending.SHELL_EXITED,
            ),
        )


def _at_prompt_for_more(text: str) -> str:
    """A text of unfinished input: the terminal stands behind the prompt for more, on its line."""
    return text[:-1] if _PROMPT_FOR_MORE.search(text) else text


def _signal_of(status: int) -> int | None:
    """The signal that a status stands for, as far as the shell can tell."""
    return status - 128 if 128 < status <= 128 + signal.SIGRTMAX else None


KIND = Kind(
    name="shell",
    summary="An interactive bash on a terminal of a Linux machine (the image), as root.",
    probe_suites=tuple(sorted(_Part.questions)),
    options_type=ShellOptions,
    part=_Part(),
)
