"""Which lines of a shell's output are the host's: its kernel, its memory, its versions.

An action is read as a list of commands, each with the number of lines that it prints where that is
fixed, and with the look of its lines where that is known. So an output falls into the lines of
each command. What cannot be read, a loop for example, is the host's only where all of it is.
"""

import dataclasses
import re
from collections.abc import Sequence

from plumb_fidelity.action import SILENT, arguments, commands
from plumb_fidelity.chance import lines_by_chance
from plumb_fidelity.failure import is_complaint

_READABLE = 4096
_ONE_LINE = frozenset({"uname", "nproc", "arch", "hostid", "uptime", "getconf"})
_MANY_LINES = frozenset(
    {"free", "df", "lscpu", "lsblk", "lsmem", "ifconfig", "ip", "lsb_release", "hostnamectl", "w",
     "dmesg", "vmstat", "iostat", "top", "htop", "sysctl", "ulimit", "ping", "nslookup", "dig",
     "last", "who", "locale", "dpkg", "dpkg-query", "apt", "apt-get", "apt-cache"}
)  # fmt: skip
_SAYS_ITS_WORDS = frozenset({"echo", "printf", "test", "[", "[[", "cd", "export", "alias", "type",
                             "which", "basename", "dirname", "expr", "ln"})  # fmt: skip
_FILES = re.compile(
    r"(?:/proc/(?!self\b|sys/kernel/random/)|/sys/)\S|/(?:etc|usr/lib)/os-release$"
    r"|/etc/(?:issue|debian_version|lsb-release|machine-id)$"
)
_ASKS_VERSION = frozenset({"--version", "-V", "-version"})
_WITH_SMALL_V = frozenset({"node", "npm", "nginx", "perl", "ruby", "php", "gcc", "docker", "lua"})
_WITH_WORD = frozenset({"go", "docker", "openssl", "kubectl", "git", "npm"})
_OWN_PROGRAM = re.compile(r"\.{0,2}/(?!(?:usr/)?s?bin/)|\w+/")
_ASKS_HOST = re.compile(
    r"python_version|\bplatform\.(?:release|version|platform|processor|machine|uname)\b"
    r"|\bsys\.version\b|\bcpu_count\b|\bos\.uname\b|\bgetloadavg\b"
)
_TOLD_UNAME = re.compile(r"-[sno]+|--(?:kernel-name|nodename|operating-system)")
_NO_OUTPUT = frozenset({"for", "case", "select", "function", "done", "fi", "esac", "test", "[",
                        "[[", "read", ":"})  # fmt: skip
_FIXED_LINES = frozenset({"pwd", "whoami", "basename", "dirname"})
_DRAW_ONE = frozenset({"mktemp", "uuidgen", "shuf"})
_TAKES_ONE = re.compile(r"-(?:n ?)?1")
_SUBSTITUTED = re.compile(r"\$\(([^()`]{1,400})\)|`([^`]{1,400})`")
_QUOTED = re.compile(r"'[^']*+'|\"(?:[^\"\\]|\\.)*+\"", re.DOTALL)
_CONTROL = re.compile(
    r"\|\||[()]|<<|(?<!\$)[{}]|(?:^|[\s;&|])(?:if|for|while|until|case|function|select|do|then)\b"
)
_TO_FILE = re.compile(r"(?:1|&)?>{1,2}\|?(?!&)")
_HOST_WORD, _OTHER_WORD = "\x02host\x02", "\x02word\x02"
_HELD = re.compile(rf"\b([A-Za-z_]\w{{0,60}}+)=\"?{_HOST_WORD}")
_MOST_VARIABLES = 8
_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+~-]*")
_SHAPES = {
    "free": r"\s*total\s+used|[A-Z][a-z]+:\s",
    "df": r"Filesystem\s|\S+\s.*\s(?:\d+%|-)\s",
    "lscpu": r"[A-Z][\w ()/.,+-]*:\s",
    "os-release": r"[A-Z_]+=",
    "/proc/": r"[\w ()]+\s*:(?:\s|$)|$",
    "lsblk": r"NAME\s|\S+\s+\d+:\d+\s",
    "ip": r"\d+: \S+: |\s*(?:link/|inet|valid_lft|altname)|default via",
    "dpkg": r"(?:ii|rc|un)\s|Desired=|[|+]",
    "apt": r"Listing|WARNING: apt|\S+/\S+ \S+ \S+|$",
    "ulimit": r".{8,40}\(.*-\w\) ",
}
_LOOKS = {name: re.compile(shape) for name, shape in _SHAPES.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What one command, or several in a row, contribute to an output.

    Attributes:
        is_host: Whether it is the host's.
        lines: How many lines; None where that is not fixed.
        looks: How its lines look, where that is known.
        program: The program, for the host's.
        is_chance: Whether nobody can know it, for it is drawn by chance; such is the host's, too.
    """

    is_host: bool
    lines: int | None
    looks: re.Pattern[str] | None = None
    program: str = ""
    is_chance: bool = False


def shares(action: str) -> list[Share]:
    """Who contributes to an action's output, in order; empty where nothing is the host's."""
    if len(action) > _READABLE:
        return []
    plain = _with_variables(_SUBSTITUTED.sub(_word_of, action))
    files: set[str] = set()
    found = [share for pipeline in commands(plain) for share in _shares(pipeline, files)]
    if not any(share.is_host for share in found):
        return []
    if _CONTROL.search(_QUOTED.sub("''", plain)):
        is_host = all(share.is_host for share in found)
        is_chance = any(share.is_chance for share in found)
        first = Share(True, None, program=found[0].program, is_chance=is_chance)
        return [first] if is_host else []
    return _joined(found)


def _word_of(found: re.Match[str]) -> str:
    inner = commands(found[1] or found[2])
    is_host = any(share.is_host for pipeline in inner for share in _shares(pipeline, set()))
    return _HOST_WORD if is_host else _OTHER_WORD


def _with_variables(action: str) -> str:
    """Puts the host's word in the place of variables that hold what the host said."""
    names = dict.fromkeys(_HELD.findall(action))
    for name in list(names)[:_MOST_VARIABLES]:
        action = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", _HOST_WORD, action)
    return action


def _joined(found: Sequence[Share]) -> list[Share]:
    """Joins what is not the host's, as far as it stands side by side."""
    joined: list[Share] = []
    for share in found:
        if joined and not share.is_host and not joined[-1].is_host:
            counts = joined[-1].lines, share.lines
            total = None if None in counts else sum(count or 0 for count in counts)
            joined[-1] = Share(False, total)
        else:
            joined.append(share)
    return joined


def _shares(pipeline: Sequence[Sequence[str]], files: set[str]) -> list[Share]:
    """What a pipeline contributes; files that it fills with what the host said are added."""
    words, last = _words(pipeline[0]), _words(pipeline[-1])
    if not words:
        return []
    is_host = _is_host(words) or any(word.lstrip("<") in files for word in words[1:])
    if is_host:
        files.update(_targets(last))
    if _prints_nothing(last):
        return []
    drawn = lines_by_chance(pipeline)
    if drawn:
        return [Share(True, drawn, program=words[0], is_chance=True)]
    if is_host and len(pipeline) > 1 and last[0] == "wc" and _count(words) == 1:
        is_host = False  # how many lines there are is known
    lines = _count(words) if len(pipeline) == 1 else _count_of_last(last, _count(words))
    if not is_host:
        return [Share(False, lines)]
    looks = next((_LOOKS[name] for name in _LOOKS if _is_named(name, words)), None)
    return [Share(True, lines, looks if len(pipeline) == 1 else None, words[0])]


def is_list(action: str) -> bool:
    """Whether it is a plain list of commands, whose lines follow one another."""
    return not _CONTROL.search(_QUOTED.sub("''", _SUBSTITUTED.sub("''", action)))


def lines_of(pipeline: Sequence[Sequence[str]]) -> int | None:
    """How many lines a pipeline prints; None where that is not fixed."""
    words, last = _words(pipeline[0]), _words(pipeline[-1])
    if not words or not last or _prints_nothing(last):
        return 0
    if words[0] in _DRAW_ONE and len(pipeline) == 1:
        return lines_by_chance(pipeline) or (1 if words[0] != "shuf" else None)
    return _count(words) if len(pipeline) == 1 else _count_of_last(last, _count(words))


def _words(command: Sequence[str]) -> list[str]:
    """A command's words, from its program on; the program by its name, unless it is an own one."""
    words = list(arguments(command))
    if words and not _OWN_PROGRAM.match(words[0]):
        words[0] = words[0].rpartition("/")[2]
    return words


def _targets(words: Sequence[str]) -> list[str]:
    """The files that a command's output goes to."""
    found = []
    for at, word in enumerate(words):
        if redirected := _TO_FILE.match(word):
            found.append(word[redirected.end() :] or "".join(words[at + 1 : at + 2]))
    return [*found, *words[1:]] if words[:1] == ["tee"] else found


def _is_named(name: str, words: Sequence[str]) -> bool:
    is_file = "/" in name or "-" in name
    return words[0] == name or (is_file and any(name in word for word in words[1:]))


def _prints_nothing(words: Sequence[str]) -> bool:
    if not words or words[0] in _NO_OUTPUT or (words[0] in SILENT and "-v" not in words):
        return True
    quiet = words[0] == "grep" and any(re.match(r"-\w*q", word) for word in words)
    return quiet or any(_TO_FILE.match(word) for word in words[1:])


def _is_host(words: Sequence[str]) -> bool:
    program, *rest = words
    if any(_HOST_WORD in word for word in words):
        return True
    options = [word for word in rest if word.startswith("-")]
    if program in _SAYS_ITS_WORDS:
        return False
    if program == "uname":
        return bool(rest) and not all(map(_TOLD_UNAME.fullmatch, rest))
    if program == "hostname":
        return any(option.lower() == "-i" for option in options)
    if program == "mount":
        return not [word for word in rest if not word.startswith("-")]
    if program in _ONE_LINE | _MANY_LINES:
        return True
    if any(_FILES.match(word.lstrip("<")) for word in rest):
        return True
    if not rest or _OWN_PROGRAM.match(program):
        return False
    if program in ("python", "python3") and "-c" in rest:
        text = " ".join(rest)
        return bool(_ASKS_HOST.search(text)) and text.count("print(") == 1
    says_so = program in _WITH_SMALL_V and rest == ["-v"]
    return rest[0] in _ASKS_VERSION or says_so or (program in _WITH_WORD and rest == ["version"])


def _count(words: Sequence[str]) -> int | None:
    program, *rest = words
    if program == "echo":
        is_plain = not (rest and re.fullmatch(r"-\w+", rest[0])) and _OTHER_WORD not in str(rest)
        return 1 + sum(word.count("\n") for word in rest) if is_plain else None
    if program == "wc":
        return 1 if sum(not word.startswith("-") for word in rest) <= 1 else None
    is_date = program == "date" and not any("%n" in word for word in rest)
    return 1 if is_date or program in _FIXED_LINES | _ONE_LINE or program == "hostname" else None


def _count_of_last(words: Sequence[str], first: int | None) -> int | None:
    program, *rest = words
    if program == "wc" or (program in ("head", "tail") and _TAKES_ONE.fullmatch(" ".join(rest))):
        return 1
    return first if program in ("cut", "tr", "sed", "awk", "sort", "tee", "cat", "rev") else None


def divide(lines: Sequence[str], found: Sequence[Share]) -> list[int | None]:
    """Says of each line whose it is: an index into the shares; None for a complaint."""
    owners: list[int | None] = [None] * len(lines)
    places = [at for at, line in enumerate(lines) if not is_complaint(line)]
    first, last = 0, len(found) - 1
    while first <= last and (count := found[first].lines) is not None:
        taken, places = places[:count], places[count:]
        for at in taken:
            owners[at] = first
        first += 1
    while last > first and (count := found[last].lines) is not None:
        kept = max(len(places) - count, 0)
        for at in places[kept:]:
            owners[at] = last
        places = places[:kept]
        last -= 1
    for share in range(first, last + 1):
        size = _size([lines[at] for at in places], found[share : last + 1])
        for at in places[:size]:
            owners[at] = share
        places = places[size:]
    for at in places:
        owners[at] = last if found else None
    return owners


def _size(lines: Sequence[str], found: Sequence[Share]) -> int:
    """How many lines the first share has; the others have what follows."""
    this, *others = found
    if this.lines is not None:
        return min(this.lines, len(lines))
    if not others:
        return len(lines)
    if this.looks:
        ends = (at for at, line in enumerate(lines) if not this.looks.match(line))
        return next(ends, len(lines))
    if looks := others[0].looks:
        return next((at for at, line in enumerate(lines) if looks.match(line)), len(lines))
    return max(len(lines) - len(others), 0) if this.is_host else min(len(lines), 1)


def is_told(share: Share, lines: Sequence[str], told: str) -> bool:
    """Whether what a host's command prints was told."""
    text = told.casefold()
    for line in lines:
        _, _, value = line.partition("=" if "=" in line else ":")
        for said in (line.strip(), value.strip(" \t\"'")):
            if re.search("[A-Za-z]", said) and len(said) > 3 and _stands_in(said.casefold(), text):
                return True
        for version in _VERSION.findall(line) if share.program not in _MANY_LINES else ():
            if _stands_in(version.casefold(), text):
                return True
        if _stands_in(f"{share.program}: {line.strip()}".casefold(), text):
            return True
    return False


def _stands_in(said: str, text: str) -> bool:
    return said in text and bool(re.search(rf"(?<![\w.]){re.escape(said)}(?![\w]|\.\w)", text))
