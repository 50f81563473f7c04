"""What an action tells beforehand about its output: is its order fixed, is it about the host.

Shell actions are read with `shlex`, SQL with a scan over its top level. Both are approximations
on the safe side: what cannot be read is taken for an ordinary command whose order is fixed.
"""

import dataclasses
import functools
import re
import shlex
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_SEPARATORS = frozenset({";", "&&", "||", "&", "\n", "(", ")", ";;"})
_WRAPPERS = frozenset({"sudo", "env", "time", "nohup", "command", "builtin", "exec", "then", "do",
                       "else", "if", "while", "until", "!", "{", "xargs"})  # fmt: skip
SILENT = frozenset({"cd", "mkdir", "export", "touch", "set", "unset", "rm", "cp", "mv", "chmod",
                     "chown", "ln", "alias", "source", ".", "umask", "shopt", "true", "kill",
                     "pkill", "sleep", "wait"})  # fmt: skip
_LISTERS = frozenset({"ls", "find", "tree", "du", "locate", "which", "dir", "readlink", "realpath"})
_CHANGING = SILENT - {"true", "sleep", "wait", "kill", "pkill"} | frozenset(
    {"tee", "useradd", "groupadd", "usermod", "userdel", "passwd", "tar", "unzip", "gzip", "gunzip",
     "git", "crontab", "install", "truncate", "dd", "rmdir", "rename", "patch", "split", "mount"}
)  # fmt: skip
_ASKERS = frozenset({"read", "select", "passwd", "su", "vi", "vim", "nano", "less", "more", "top"})
_READERS = frozenset({"cat", "bc", "dc", "python", "python3", "node", "perl", "awk", "sort", "wc",
                      "tr", "head", "tail", "tee", "mysql", "sqlite3", "bash", "sh"})  # fmt: skip
_PROGRAM_READS = re.compile(r"\binput\(|\bsys\.stdin\b|<STDIN>|\bgetpass\b|\breadline\(|\bgets\b")
_REDIRECT = re.compile(
    r"(?<![0-9&<>])>{1,2}\|? *(?!/dev/null|&)[\w./~$\"'{]|\bsed\s+-[a-zA-Z]*i|-delete\b"
)
_CHANGING_SQL = re.compile(
    r"\s*(?:insert|update|delete|replace|create|alter|drop|truncate|rename|set|start|begin|commit"
    r"|rollback|use|call|load|lock|unlock|grant|revoke|savepoint|prepare)\b",
    re.IGNORECASE,
)
_SHUFFLES = re.compile(r"\b(?:(shuf)|sort -R)\b")
_FROM_RANGE = re.compile(r"[ ]-(?:i|-input-range)")
_TAKES_SOME = re.compile(r"\s*(?:head|tail)\b")
_RANDOM_SQL = re.compile(r"\border\s++by\s++rand\s*+\(", re.IGNORECASE)
_LIMIT_SQL = re.compile(r"\blimit\b", re.IGNORECASE)
SQL_TOKEN = re.compile(
    # What is not closed goes on to the end: else each of its beginnings would be looked through.
    r"'(?:[^'\\]|''|\\.?)*+(?:'|\Z)|\"(?:[^\"\\]|\"\"|\\.?)*+(?:\"|\Z)|`[^`]*+(?:`|\Z)"
    r"|--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|\w+(?:\.\w+)*|\S",
    re.DOTALL,
)
_READABLE = 32 * 1024
"""A shell action that is longer is taken for an ordinary command."""

_CACHED = 1024  # a longer action comes once
_AFTER_ORDER = frozenset({"limit", "for", "into", "offset", "lock", ";", "procedure"})


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """Whether the order of lines or rows says anything.

    Attributes:
        fixed: Whether it does.
        keys: For SQL, what it is sorted by: column names or positions, as written.
    """

    fixed: bool
    keys: tuple[str, ...] = ()


def _cached(function: Callable[[str], T]) -> Callable[[str], T]:
    """Remembers what a function says of short actions, so that memory is bounded."""
    remembering = functools.lru_cache(maxsize=1024)(function)

    @functools.wraps(function)
    def call(action: str) -> T:
        return remembering(action) if len(action) <= _CACHED else function(action)

    return call


def commands(action: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """A shell action's pipelines, each as its commands' words; () where it cannot be read."""
    if len(action) > _READABLE:
        return ()
    return _commands(action) if len(action) <= _CACHED else _long_commands(action)


def _read_commands(action: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    lexer = shlex.shlex(action.replace("\n", " ; "), posix=True, punctuation_chars="();&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return ()
    pipelines: list[list[list[str]]] = [[[]]]
    for word in words:
        if word in _SEPARATORS:
            pipelines.append([[]])
        elif word in ("|", "|&"):
            pipelines[-1].append([])
        else:
            pipelines[-1][-1].append(word)
    return tuple(
        tuple(tuple(command) for command in pipeline if command)
        for pipeline in pipelines
        if any(pipeline)
    )


_commands = functools.lru_cache(maxsize=1024)(_read_commands)
_long_commands = functools.lru_cache(maxsize=4)(_read_commands)  # one is asked for many times


def programs(action: str) -> tuple[str, ...]:
    """The programs that a shell action names, in order."""
    return tuple(_program(command) for pipeline in commands(action) for command in pipeline)


def _program(command: Sequence[str]) -> str:
    return next(iter(arguments(command)), "").rpartition("/")[2]


def arguments(command: Sequence[str]) -> Sequence[str]:
    """A command from its program on, without wrappers and assignments before it."""
    for at, word in enumerate(command):
        if word not in _WRAPPERS and not re.match(r"\w+=", word):
            return command[at:]
    return ()


@_cached
def prints_names(action: str) -> bool:
    """Whether it is a plain `ls`, which prints names in as many columns as the terminal has."""
    found = [pipeline for pipeline in commands(action) if _program(pipeline[-1]) not in SILENT]
    if not found or any(len(p) > 1 or _program(p[0]) != "ls" for p in found):
        return False
    words = [word for pipeline in found for word in pipeline[0][1:]]
    return not any(re.match(r"-[A-Za-z]*[l1nogsZ]", w) or w.startswith("--f") for w in words)


@_cached
def prints_inodes(action: str) -> bool:
    """Whether the names that a plain `ls` prints have a number each."""
    return prints_names(action) and any(
        re.match(r"-[A-Za-z]*i|--inode", word)
        for pipeline in commands(action)
        for word in pipeline[0]
        if _program(pipeline[0]) == "ls"
    )


@_cached
def awaits_input(action: str) -> bool:
    """Whether a shell goes on to wait for what is typed: nothing says what to read."""
    pipelines = commands(action)
    if not pipelines:
        return bool(action.strip())  # a quote is open
    return any(map(_reads_terminal, pipelines)) or bool(_PROGRAM_READS.search(action))


def _reads_terminal(pipeline: Sequence[Sequence[str]]) -> bool:
    words = list(arguments(pipeline[0]))
    if not words or any(word.startswith("<") and not word.startswith("<<") for word in words):
        return False
    program, *rest = words
    named = [word for word in rest if not word.startswith((">", "2>"))]
    if program in _ASKERS or any(word.startswith("<<") for word in words):
        return True
    return program in _READERS and not named


@_cached
def lists_names(action: str) -> bool:
    """Whether what it prints are names of files, so that another name is another file."""
    found = commands(action)
    return bool(found) and any(_program(pipeline[-1]) in _LISTERS for pipeline in found)


def changes_state(action: str, *, sql: bool) -> bool:
    """Whether it is meant to leave something behind: most actions only look."""
    if sql:
        return bool(_CHANGING_SQL.match(action))
    return bool(_REDIRECT.search(action)) or bool(_CHANGING & set(programs(action)))


@_cached
def is_silent(action: str) -> bool:
    """Whether a shell action prints nothing where it succeeds."""
    return bool(programs(action)) and set(programs(action)) <= SILENT and "-v" not in action


def is_random(action: str, *, sql: bool) -> bool:
    """Whether it asks for a choice by chance, so that runs differ in what they are about."""
    return any(map(_takes_random_rows if sql else _takes_random_lines, action.split(";")))


def _takes_random_rows(statement: str) -> bool:
    found = _RANDOM_SQL.search(statement)
    closed = statement.find(")", found.end()) if found else -1
    return closed >= 0 and bool(_LIMIT_SQL.search(statement, closed))


def _takes_random_lines(action: str) -> bool:
    """Whether lines are shuffled, and some of them taken."""
    is_shuffled = False
    for stage in action.split("|"):
        if is_shuffled and _TAKES_SOME.match(stage):
            return True
        for found in _SHUFFLES.finditer(stage):
            if found[1] and _FROM_RANGE.search(stage, found.end()):
                break  # its bounds tell what may come
            is_shuffled = True
            if found[1]:
                if stage.find("-n", found.end()) >= 0:
                    return True
                break
    return False


@_cached
def sql_order(statement: str) -> Order:
    """Whether rows have an order: where there is an ORDER BY outside of every parenthesis."""
    words = sql_words(statement)
    first = words[0].lower() if words else ""
    if first in ("show", "desc", "describe", "explain"):
        return Order(fixed=True)
    depth, start = 0, None
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word.lower() == "order" and words[at + 1 : at + 2] != []:
            start = at + 2 if words[at + 1].lower() == "by" else start
    return Order(fixed=False) if start is None else Order(fixed=True, keys=_keys(words[start:]))


def sql_words(statement: str) -> list[str]:
    """A statement's words, texts and marks, without its comments."""
    return [word for word in SQL_TOKEN.findall(statement) if not is_comment(word)]


def is_comment(word: str) -> bool:
    """Whether a token of a statement is a comment."""
    return word.startswith(("--", "#", "/*"))


def _keys(words: Sequence[str]) -> tuple[str, ...]:
    keys: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word.lower() in _AFTER_ORDER):
            break
        if depth == 0 and word == ",":
            keys.append([])
        elif word.lower() not in ("asc", "desc"):
            keys[-1].append(word)
    return tuple(" ".join(key) for key in keys if key)


def sql_statements(action: str) -> tuple[str, ...]:
    """The statements of an action, split at semicolons outside of quotes."""
    statements: list[str] = []
    start = 0
    for found in SQL_TOKEN.finditer(action):
        if found[0] == ";":
            statements.append(action[start : found.start()])
            start = found.end()
    rest = action[start:]
    return tuple(s for s in (*statements, rest) if s.strip())
