"""By program: what its output may differ in. Data, for `shell_licences`.

A program that is not here is not known, or prints content: its output is exact. What nothing is
known of may, with one real run, print the time of day, measured fractions of seconds and
`pid 4711`; all else in it follows from files that a simulator is told.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from plumb_fidelity import chance
from plumb_fidelity.commits import git_grants
from plumb_fidelity.formats import date_grants, fields_of_format, ps_grants
from plumb_fidelity.interpreters import TIMED, UNKNOWN, interpreter_grants
from plumb_fidelity.kinds import (
    DRAWN,
    EPOCH,
    HASH,
    NOW,
    PID,
    SHARE,
    SPENT,
    TIME_OF_DAY,
    UUID,
    WORD,
)
from plumb_fidelity.licences import Field, Grant, Licence
from plumb_fidelity.shapes import Shape

Words = Sequence[str]
_C = re.compile

_CONTENT = frozenset({
    "cat", "head", "tail", "sed", "grep", "egrep", "fgrep", "zcat", "zgrep", "echo", "printf",
    "cut", "tr", "sort", "uniq", "rev", "tac", "paste", "less", "more", "fold", "fmt", "strings",
    "read", "mapfile", "tee", "cd", "pwd", "basename", "dirname", "readlink", "realpath", "which",
    "diff", "cmp", "comm", "join", "seq", "yes", "true", "false", "export", "declare", "set",
    "alias", "type", "find", "env", "printenv", "getent", "id", "whoami", "groups", "test", "expr",
    "base64", "md5sum", "sha1sum", "sha256sum", "cksum", "iconv", "split", "tsort", "expand",
    "unexpand", "crontab", "mkdir", "touch", "rm", "cp", "mv", "ln", "chmod", "chown", "gunzip",
    "source", ".", "umask", "trap", "kill", "sleep", "hostname", "shuf", "numfmt", "column",
})  # fmt: skip
"""Programs that show what is there, byte by byte, or say nothing."""

_COUNTERS = frozenset({"wc", "md5sum", "sha1sum", "sha256sum", "cksum"})

_COLUMNS = Licence(columns=True)
_NUMBERED = _C(r"\s*\d+[\t ]")
_LONG = _C(r"\s*(?:\d+ +)*[-dlcbps][rwxsStT-]{9}[.+@]? |total \d")
_LONG_LINE = Licence(
    kinds=(NOW,),
    fields=(Field(_C(r"^\s*(?:\d+ +)*d[rwxsStT-]{9}[.+@]? +(\d+) "),
                  DRAWN._replace(is_single=False)),),
    columns=True,
)  # fmt: skip
_INODE = Grant(Licence(fields=(Field(_C(r"^\s*(\d+) "), DRAWN),), columns=True), _C(r"\s*\d+ "))

_QUOTED_NAME = Grant(Licence(margin=_C(r" ?")), _C(r"(?!\s*\d+[\t ]) ?\S"))
"""A name; where others are in quotes `ls` may put a blank before it."""

JOB = Grant(
    Licence(shapes=(Shape(_C(r"\[(\d+)\]([+-]?) (?P<pid>\d+)(.*)")),), columns=True),
    _C(r"\[\d+\]"),
)
"""What the shell says of a job; its process is volatile."""

_ELAPSED = Shape(_C(r"[\d.]+user [\d.]+system [\d:.]+elapsed \d+%CPU.*"))
TIME = (
    Grant(Licence(kinds=(SPENT, SHARE._replace(is_single=False)), columns=True),
          _C(r"(?:real|user|sys)\s")),
    Grant(Licence(shapes=(_ELAPSED, Shape(_C(r"\d+inputs\+.*swaps")))),
          _C(r"\d+(?:\.\d+user|inputs)")),
)  # fmt: skip
"""What `time` prints, the shell's own and the program."""

_LOAD = Shape(_C(r"(top - )?\d\d:\d\d:\d\d up .*load average: .*"))
_UPTIME = (
    Grant(Licence(shapes=(_LOAD,), columns=True),
          _C(r"(?:top -)?\s*\d\d:\d\d:\d\d up ")),
    Grant(Licence(shapes=(Shape(_C(r"up \d+ (?:week|day|hour|minute).*")),)), _C(r"up \d")),
)  # fmt: skip

_ARITHMETIC = _C(r"[+*/%-]=|\+\+|--|\$\w+ *[*/+-]|[*/+-] *\$|\b(?:NR|NF|int|length|sqrt|exp)\b")


def counts(words: Words) -> bool:
    """Whether a command gives numbers about its input, and nothing of it."""
    if words[0] in _COUNTERS:
        return True
    return words[0] in ("grep", "pgrep", "egrep", "zgrep") and any(
        re.fullmatch(r"-\w*c\w*|--count", word) for word in words[1:]
    )


def grants(words: Words, *, is_source: bool, is_last: bool) -> list[Grant]:
    """What a command's output may differ in.

    Args:
        words: The program, by its name only, and its arguments.
        is_source: Whether it is the first of its pipeline.
        is_last: Whether it is the last.
    """
    program = words[0]
    found: list[Grant] = []
    if any("/dev/urandom" in word or "/dev/random" in word for word in words):
        found.append(Grant(Licence(kinds=(WORD, HASH), shapes=(_BASE64, _OCTETS))))
    if any(_PROCESS_FILE.match(word) for word in words):
        found.append(Grant(Licence(kinds=(DRAWN,))))
    if program in _RULES:
        return found + list(_RULES[program](words))
    if program.startswith("mysql"):
        return [*found, Grant(Licence(kinds=(NOW, SPENT), columns=True, floats=True))]
    if program in _CONTENT or counts(words):
        return found
    return [*found, Grant(UNKNOWN)]


_PROCESS_FILE = _C(r"/proc/(?:self|thread-self|\d+|\$\w+|\$\$)/")
_LONGEST_NAME = 64
_BASE64 = Shape(_C(r"[A-Za-z0-9+/]{8,}={0,2}"))
_OCTETS = Shape(_C(r"(?:[0-9a-f]{7,8}:? )?[0-9a-f]{2,}(?: [0-9a-f]{2,})*"))


def _has(words: Words, letters: str) -> bool:
    return any(re.fullmatch(rf"-\w*[{letters}]\w*", word) for word in words[1:])


def _format(words: Words, *flags: str) -> str:
    """The text that an option is given, joined or apart; empty where it is not."""
    for at, word in enumerate(words):
        for flag in flags:
            if word == flag and at + 1 < len(words):
                return words[at + 1]
            if word.startswith(flag + "=") or (len(flag) == 2 and word.startswith(flag)):
                return word[len(flag) :].removeprefix("=")
    return ""


def _ls(words: Words) -> list[Grant]:
    found = [Grant(_LONG_LINE, _LONG), _QUOTED_NAME]
    if _has(words, "i") or "--inode" in words:
        found.append(_INODE)
    if _has(words, "s"):
        found.append(Grant(_COLUMNS, _NUMBERED))
    if any("time" in word for word in words):
        found.append(Grant(Licence(kinds=(NOW, TIME_OF_DAY, EPOCH)), _LONG))
    return found


_ONE_NUMBER = frozenset({"%i", "%i\\n", "%d", "%D"})
"""Formats of one volatile number alone, which may stand anywhere in another command's line."""


def _stat(words: Words) -> list[Grant]:
    form = _format(words, "-c", "--format", "--printf")
    if form in _ONE_NUMBER:
        return [Grant(Licence(kinds=(DRAWN,)))]
    if form:
        fields = fields_of_format(form, "idD")
        return [Grant(Licence(kinds=(NOW, EPOCH), fields=fields))]
    return [
        Grant(Licence(shapes=(Shape(_C(r"Device: \S+ Inode: \d+ Links: (\d+)(.*)")),),
                      columns=True), _C(r"Device: ")),
        Grant(Licence(kinds=(NOW,), columns=True),
              _C(r"\s*(?:File|Size|Access|Modify|Change|Birth): ")),
    ]  # fmt: skip


def _find(words: Words) -> list[Grant]:
    if "-ls" in words:
        return [_INODE, Grant(_LONG_LINE, _LONG)]
    form = _format(words, "-printf")
    if not form:
        return []
    return [Grant(Licence(kinds=(NOW, EPOCH), fields=fields_of_format(form, "iD")))]


def _awk(words: Words) -> list[Grant]:
    program = " ".join(words[1:])
    is_drawn = "rand(" in program and not chance.is_seeded(program)
    found = [Grant(Licence(kinds=(DRAWN,)))] if is_drawn else []
    if "systime(" in program or "strftime(" in program:
        found.append(Grant(Licence(kinds=(NOW, TIME_OF_DAY, EPOCH))))
    if _ARITHMETIC.search(program) and "printf" not in program:
        found.append(Grant(Licence(numbers=True, floats=True)))
    return found


def _mktemp(words: Words) -> list[Grant]:
    """Names by chance; those of the default template are known by their look."""
    template = next((word for word in words[1:] if "XXX" in word), "")
    name = template.rpartition("/")[2]
    if not name:
        return []
    chance = len(name) - len(name.rstrip("X")) or name.count("X")
    before = re.escape(name[: name.index("X")][-_LONGEST_NAME:])
    field = Field(_C(rf"(?:^|/){before}(\w{{{min(chance, _LONGEST_NAME)}}})"), WORD)
    return [Grant(Licence(fields=(field,)))]


def _openssl(words: Words) -> list[Grant]:
    if "rand" not in words:
        return []
    if "-hex" in words:
        return [Grant(Licence(kinds=(chance.HEX_PART,)))]
    return [Grant(Licence(kinds=(HASH,), shapes=(_BASE64,)))]


def _shuf(words: Words) -> list[Grant]:
    if chance.is_seeded(" ".join(words)):
        return []
    kinds = tuple(chance.of_range(words[1:]))
    return [Grant(Licence(kinds=kinds, fields=tuple(map(chance.only_number, kinds))))]


def _pids(words: Words) -> list[Grant]:
    return [] if counts(words) else [Grant(Licence(kinds=(PID,), columns=True))]


def _margin(words: Words) -> list[Grant]:
    return [Grant(Licence(margin=_NUMBERED), _NUMBERED)]


def _cat(words: Words) -> list[Grant]:
    return _margin(words) if _has(words, "nb") else []


def _uniq(words: Words) -> list[Grant]:
    return _margin(words) if _has(words, "c") else []


def _octal(words: Words) -> list[Grant]:
    return [] if _has(words, "cC") else [Grant(_COLUMNS)]


def _always(*found: Grant) -> Callable[[Words], Sequence[Grant]]:
    return lambda words: found


_TERMINAL = Field(_C(r"^/dev/pts/(\d+)$"), chance.between(0, 4095))
_TABLE = _always(Grant(_COLUMNS))
_LISTED = _always(Grant(Licence(kinds=(NOW,), columns=True)))

_RULES: Mapping[str, Callable[[Words], Sequence[Grant]]] = {
    "ls": _ls, "dir": _ls, "stat": _stat, "find": _find, "awk": _awk, "gawk": _awk, "mawk": _awk,
    "git": git_grants, "openssl": _openssl, "shuf": _shuf, "cat": _cat, "uniq": _uniq,
    "ps": ps_grants,
    "date": date_grants, "nl": _margin, "history": _margin, "od": _octal, "xxd": _octal,
    "hexdump": _octal, "pgrep": _pids, "pidof": _pids,
    "lsof": _always(Grant(Licence(kinds=(PID,), fields=(Field(_C(r"^\S+\s+(\d+) "),
                          PID._replace(is_single=False)),), columns=True))), "pstree": _pids,
    "fuser": _pids, "ss": _pids, "netstat": _pids,
    "wc": _always(Grant(Licence(columns=True, numbers=True), _C(r"\s*\d+(?:\s|$)"))),
    "du": _always(Grant(Licence(columns=True, numbers=True), _C(r"\s*[\d.,]+[KMGTP]?\s"))),
    "bc": _always(Grant(Licence(numbers=True, floats=True))),
    "dc": _always(Grant(Licence(numbers=True, floats=True))),
    "mktemp": _mktemp, "tty": _always(Grant(Licence(fields=(_TERMINAL,)))),
    "uuidgen": _always(Grant(Licence(kinds=(UUID, chance.HEX_PART)))),
    "uptime": _always(*_UPTIME), "w": _always(*_UPTIME, Grant(_COLUMNS)),
    "top": _always(*_UPTIME, Grant(_COLUMNS)),
    "who": _LISTED, "last": _LISTED, "tar": _LISTED, "unzip": _LISTED, "zipinfo": _LISTED,
    "gzip": _LISTED, "zip": _LISTED, "rsync": _always(*TIMED, Grant(_COLUMNS)),
    "jobs": _always(JOB, Grant(_COLUMNS, _C(r"\[\d+\]"))),
} | dict.fromkeys(
    ("python", "python3", "perl", "ruby", "node", "php", "lua"), interpreter_grants
) | dict.fromkeys(
    ("df", "free", "column", "pr", "lsblk", "lscpu", "mount", "ip", "ifconfig", "vmstat",
     "iostat", "chage", "dpkg", "apt", "pip", "pip3", "systemctl", "service", "lsb_release",
     "ulimit", "tree", "file", "md5sum", "sha1sum", "sha256sum", "cksum", "getfacl", "cal",
     "docker", "npm"),
    _TABLE,
) | dict.fromkeys(
    ("dd", "curl", "wget", "ping", "pytest", "cargo", "go", "mvn", "gradle", "hyperfine", "ab"),
    _always(*TIMED),
)  # fmt: skip
