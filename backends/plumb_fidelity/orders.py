"""Whether the order of a shell's lines says anything.

It does not where nobody promises one: directories, hash tables and processes at once. That goes
through files: what an unsorted `find` wrote into a list stands in the order of the directory.
"""

import re
from collections.abc import Iterator, Sequence

from plumb_fidelity.action import SILENT, Order, arguments, commands

_LONGEST = 32 * 1024
_MOST_PAST = 20
_MOST_FILES = 256
_UNORDERED = frozenset({"find", "du", "shuf", "locate", "lsof"})
_SORTERS = frozenset({"sort", "wc", "uniq", "tsort"})
_RACES = re.compile(
    r"\btee +(?:-a +)?/dev/(?:stderr|tty|fd/2)\b"
    r"|\b(?:xargs|make)\b[^|;]{0,200}? (?:-P|-j|--max-procs)"
    r"|\bparallel\b|(?<![&>|])& *(?:;? *done\b|\})|>\(tee\b|>&2 *\|"
)
_HASH_ORDER = re.compile(r"\bfor *\( *\w+ in \w+ *\)|\bkeys *%|\beach *%|^\s*(?:env|printenv)\s*$")
_UNORDERED_LOOP = re.compile(
    r"\bin +(?:set\(|frozenset\(|\{['\"][^{}:]{0,200}\}|(?:os\.)?(?:listdir|scandir|walk)\("
    r"|[\w.()'\"/]{1,100}\.(?:iterdir|r?glob)\()"
)
_ORDERS = re.compile(
    r"\bsorted\(|\|\s*(?:sort|tsort|wc|uniq -c)\b|\bsort +keys\b|\basorti?\b|PROCINFO"
)
_HASHES = re.compile(
    r"\b(?:declare|local|typeset) -(?=\w{0,9}A)\w{1,20}+((?: +\w+(?:=\([^()]*\))?)+)"
)
_NAMES = re.compile(r"(?<![\w\[])([A-Za-z_]\w*)(?:=\([^()]*\))?")
_SHOWN = re.compile(r"\$\{!?(\w+)\[[@*]\]\}")
_REDIRECTED = re.compile(r"(?:1|&)?>{1,2}\|?(?!&)")
_READ = re.compile(r"\d?<(?!<)")


def order_of(action: str, past: Sequence[str] = ()) -> Order:
    """Whether the lines' order is fixed.

    Args:
        action: What was typed.
        past: What was typed before, for files and arrays whose order is open.
    """
    if len(action) > _LONGEST:
        return Order(fixed=True)
    past = [before for before in past[-_MOST_PAST:] if len(before) <= _LONGEST]
    if _is_open(action, past) or _RACES.search(action):
        return Order(fixed=False)
    is_hash = (
        _HASH_ORDER.search(action) or _UNORDERED_LOOP.search(action) or _shows_hash(action, past)
    )
    return Order(fixed=not is_hash or bool(_ORDERS.search(action)))


def _shows_hash(action: str, past: Sequence[str]) -> bool:
    """Whether all keys or values of an associative array are shown."""
    made = (name for text in (*past, action) for name in _arrays(text))
    return bool(set(_SHOWN.findall(action)) & set(made))


def _arrays(action: str) -> Iterator[str]:
    for declared in _HASHES.findall(action) if "-" in action else ():
        yield from _NAMES.findall(re.sub(r"\([^()]*\)", "()", declared))


def _is_open(action: str, past: Sequence[str]) -> bool:
    """Whether every pipeline that prints leaves the order open."""
    files: set[str] = set()
    for before in past:
        for pipeline in commands(before):
            _note_files(pipeline, files)
    is_open = False
    for pipeline in commands(action):
        if _prints(pipeline):
            if not _leaves_open(pipeline, files):
                return False
            is_open = True
        _note_files(pipeline, files)
    return is_open


def _note_files(pipeline: Sequence[Sequence[str]], files: set[str]) -> None:
    """Notes which files have lines in an order that is open after a pipeline."""
    if not pipeline:
        return
    written = [name for command in pipeline for name in _targets(command)]
    archive, is_open = _archive(pipeline[0], files)
    if archive:
        written.append(archive)
    elif written:
        is_open = _leaves_open(pipeline, files)
    if is_open and len(files) < _MOST_FILES:
        files.update(written)
    else:
        files.difference_update(written)


def _leaves_open(pipeline: Sequence[Sequence[str]], files: set[str]) -> bool:
    is_open = False
    for command in pipeline:
        words = _words(command)
        program = words[0] if words else ""
        flags = "".join(word[1:] for word in words if re.fullmatch(r"-[A-Za-z]+", word))
        if program in _SORTERS:
            is_open = False
        elif (
            program in _UNORDERED
            or (program == "ps" and not any(word.startswith("--sort") for word in words))
            or (program == "grep" and set("rR") & set(flags))
            or (program == "ls" and set("Uf") & set(flags))
            or any(_READ.sub("", word) in files for word in words[1:])
        ):
            is_open = True
    return is_open


def _prints(pipeline: Sequence[Sequence[str]]) -> bool:
    words = _words(pipeline[-1]) if pipeline else []
    if not words or words[0] in SILENT or _archive(words, set())[0]:
        return False
    return words[0] == "tee" or not _targets(words)


def _words(command: Sequence[str]) -> list[str]:
    """A command from its program on; of `xargs` the program that it runs."""
    words = list(arguments(command))
    if "xargs" in command and words and words[0].startswith("-"):
        words = [word for word in words if not word.startswith("-")]
    if not words:
        return []
    return [words[0].rpartition("/")[2] or words[0], *words[1:]]


def _targets(words: Sequence[str]) -> list[str]:
    """The files that a command's output goes to."""
    found = []
    for at, word in enumerate(words):
        if redirected := _REDIRECTED.match(word):
            found.append(word[redirected.end() :] or "".join(words[at + 1 : at + 2]))
    if words and words[0] == "tee":
        found += [word for word in words[1:] if not word.startswith("-")]
    if words and words[0] == "sort" and "-o" in words[:-1]:
        found.append(words[words.index("-o") + 1])
    return [name for name in found if name != "/dev/null"]


def _archive(words: Sequence[str], files: set[str]) -> tuple[str, bool]:
    """The archive that `tar` writes in silence, and whether its members' order is open.

    It is where a directory is packed, or a list whose order is open.
    """
    flags = "".join(word for word in words[1:] if re.fullmatch(r"-?[A-Za-z]+", word))
    if not words or words[0] != "tar" or "c" not in flags or "v" in flags:
        return "", False
    at = next((at for at, word in enumerate(words) if re.fullmatch(r"-?[A-Za-z]*f", word)), 0)
    name = "".join(words[at + 1 : at + 2]) if at else ""
    members = [word for word in words[1:] if not word.startswith("-") and word != name]
    is_open = any(
        word in files or word in (".", "*") or "." not in word.rpartition("/")[2]
        for word in members
    )
    return name, is_open
