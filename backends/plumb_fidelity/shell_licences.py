"""What a shell action licenses its output to differ in, by the programs that it runs.

Pipelines are read one by one, commands in quotes and substitutions with them. A program's licence
goes through the filters behind it, and ends where one of them counts. As a list does not tell which
line is whose, a licence holds for the lines that look like the program's own.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from plumb_fidelity import chance, programs
from plumb_fidelity.action import commands
from plumb_fidelity.kinds import DRAWN, EPOCH, PID, UUID, Kind
from plumb_fidelity.licences import LITERAL, Grant, Licence, Licences
from plumb_fidelity.tokens import LARGEST_PID

_DEEPEST = 3
_MOST_GRANTS = 200  # each is looked at for each line
_LONGEST = 32 * 1024
_KEYWORDS = frozenset({"for", "in", "done", "fi", "esac", "case", "}", "select", "function", "[",
                       "[[", "test", ":", "$", "elif"})  # fmt: skip
_WRAPPERS = frozenset({"sudo", "env", "nohup", "command", "builtin", "exec", "then", "do", "else",
                       "if", "while", "until", "!", "{", "xargs", "timeout", "nice", "stdbuf",
                       "time", "watch", "parallel", "setsid"})  # fmt: skip
_SHELLS = frozenset({"bash", "sh", "dash", "su", "eval", "zsh", "runuser"})
_TAKE_A_WORD = frozenset({"-u", "-g", "-n", "-I", "-P", "-d", "-L", "-s", "-k", "-C", "-a", "-j"})
_ASSIGNED = re.compile(r"\w+=")
_NUMBER = re.compile(r"[0-9.]+[smhd]?")
_WORD = re.compile(r"\w+")
_SUBSTITUTED = re.compile(r"\$\(((?:[^()]|\([^()]*\))*)\)|`([^`]*)`")
_EXPANSIONS = (
    (re.compile(r"\$\{?SECONDS\b"), Licence(kinds=(DRAWN,))),
    (re.compile(r"\$\{?EPOCH(?:REALTIME|SECONDS)\b"), Licence(kinds=(EPOCH,))),
    (re.compile(r"\$\{?PPID\b"), Licence(kinds=(chance.between(0, LARGEST_PID),))),
    (re.compile(r"/proc/sys/kernel/random/uuid"), Licence(kinds=(UUID, chance.HEX_PART))),
)
_OWN_PID = re.compile(r"\$\$|\$!|\$\{?BASHPID\b|\$\{[!$]\}")
_BACKGROUND = re.compile(r"(?<![&>|])&(?![&>])|\b(?:jobs|bg|fg|wait|disown)\b")
_RECKONED = re.compile(r"\([^()]*\)|-i ?\d+-\d+")  # bounds, and what may come out
_TIMED = re.compile(r"\btime\b")


@functools.lru_cache(maxsize=256)
def _short(action: str) -> Licences:
    return _read(action)


def of_shell(action: str) -> Licences:
    """The licences of what a shell action prints."""
    if len(action) > _LONGEST:
        return Licences(base=LITERAL)
    return _short(action) if len(action) <= 1024 else _read(action)


def _read(action: str) -> Licences:
    grants = tuple(dict.fromkeys(itertools.islice(_grants(action, 0), _MOST_GRANTS)))
    written = frozenset(_WORD.findall(_RECKONED.sub(" ", action)))
    return Licences(
        tuple(
            Grant(Licence(written=written) | grant.licence, grant.lines)
            if grant.licence.kinds
            else grant
            for grant in grants
        ),
        base=LITERAL,
    )


def _grants(action: str, depth: int) -> Iterator[Grant]:
    if depth > _DEEPEST:
        return
    is_embedded = "$(" in action or "`" in action or "<(" in action
    for pipeline in commands(action):
        for grant in _pipeline(pipeline, depth):
            yield grant
            if is_embedded and grant.lines is not None:  # it may stand in another's line
                yield Grant(Licence(kinds=grant.licence.kinds))
    for found in _SUBSTITUTED.finditer(action):
        for grant in _grants(found[1] or found[2] or "", depth + 1):
            yield Grant(Licence(kinds=grant.licence.kinds, numbers=grant.licence.numbers))
    yield from _of_shell_itself(action)


def _of_shell_itself(action: str) -> Iterator[Grant]:
    """What the shell's own variables, jobs and `time` license."""
    shown = chance.without_counted(action)
    is_alone = chance.is_one_command(action)  # else a number of another command may stand alone
    if "RANDOM" in shown and not chance.is_seeded(action):
        yield _drawn(tuple(chance.of_shell_variables(shown)), is_alone=is_alone)
    for pattern, licence in _EXPANSIONS:
        if pattern.search(shown):
            yield Grant(licence)
    if _OWN_PID.search(shown):
        yield _drawn((PID,), is_alone=is_alone)
    if _BACKGROUND.search(action):
        yield programs.JOB
    if _TIMED.search(action):
        yield from programs.TIME


def _drawn(kinds: tuple[Kind, ...], *, is_alone: bool) -> Grant:
    fields = tuple(map(chance.only_number, kinds)) if is_alone else ()
    return Grant(Licence(kinds=kinds, fields=fields))


def _pipeline(pipeline: Sequence[Sequence[str]], depth: int) -> list[Grant]:
    found: list[Grant] = []
    for at, command in enumerate(pipeline):
        words = _unwrapped(command)
        if not words or words[0] in _KEYWORDS:
            continue
        if words[0] in _SHELLS and (inner := _inner(words)):
            found += _grants(inner, depth + 1)
            continue
        if programs.counts(words):
            found = []
        is_last = at == len(pipeline) - 1
        found += programs.grants(words, is_source=at == 0, is_last=is_last)
        if words[0] == "find":
            for flag in ("-exec", "-execdir", "-ok"):
                if flag in words:
                    rest = words[words.index(flag) + 1 :]
                    found += programs.grants(rest, is_source=True, is_last=True) if rest else ()
    return found


def _unwrapped(command: Sequence[str]) -> list[str]:
    """A command's words without what only says how it is run."""
    words = list(command)
    is_wrapped = False
    while words:
        word = words[0]
        if word in _WRAPPERS:
            is_wrapped = True
        elif is_wrapped and word in _TAKE_A_WORD:
            del words[:1]
        elif not _ASSIGNED.match(word) and not (
            is_wrapped and (word.startswith("-") or _NUMBER.fullmatch(word))
        ):
            break
        del words[:1]
    return [words[0].rpartition("/")[2] or words[0], *words[1:]] if words else []


def _inner(words: Sequence[str]) -> str:
    """The commands that a shell is given as a text; empty where it is given none."""
    if words[0] == "eval":
        return " ".join(words[1:])
    return words[words.index("-c") + 1] if "-c" in words[:-1] else ""
