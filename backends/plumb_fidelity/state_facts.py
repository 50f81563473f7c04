"""Takes a probe's entries apart into facts: fields, rows of tables, parts of CREATE statements.

An entry's own shape says how: nothing here knows a probe suite by name.
"""

import json
import re
from collections.abc import Mapping

OPTIONAL = frozenset({"sha256", "modified"})
"""Fields that nobody is asked for: right or wrong where they are given, and else not missing."""

_FIELDS = frozenset({
    "type", "mode", "owner", "size", "sha256", "modified", "target", "uid", "gid", "home", "shell",
    "members", "user", "count", "value",
})  # fmt: skip
_FIRST_FIELDS = ("type ", "uid ", "gid ", "user ", "value ")
_TO_THE_END = frozenset({"target", "value"})
"""Fields with any text in them, commas included; each is the last of its entry."""

_TYPES = {"regular file": "file", "symlink": "link", "symbolic link": "link", "dir": "directory"}
_UNKNOWN = ("(not read)", "(differs from run to run)")
_IS_COUNT = re.compile(r"(\d{1,18}) rows?")
_IS_CREATE = re.compile(r"CREATE\s", re.IGNORECASE)
_MOST_DIGITS = 9

Row = tuple[str | None, ...]


def entry_name(key: str) -> str:
    """An entry's key, as it is compared: without quotes, and without the last slash of a path."""
    name = key.strip().replace("`", "")
    return (name.rstrip("/") or "/") if name.startswith("/") else name


def row_place(key: str) -> tuple[str, int] | None:
    """Table and number of `shop.orders 07`; None where a key is none of a row."""
    table, _, number = key.rpartition(" ")
    if not (table and number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        return None
    return entry_name(table), int(number)


def read_row(value: str) -> Row | None:
    """The cells of a row that is written as a JSON list; None where it is not one.

    Cells are texts, however they are quoted: `2.50` and `"2.50"` are the same value.
    """
    try:
        cells = json.loads(value, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(cells, list):
        return None
    return tuple(None if cell is None else _text(cell) for cell in cells)


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell)


def facts_of(value: str) -> dict[str, str]:
    """The facts of one entry, by name; the name is empty where the value is one fact."""
    value = value.strip()
    if value.startswith(_FIRST_FIELDS):
        return _known(_fields(value))
    if _IS_CREATE.match(value):
        return _statement(value)
    count = _IS_COUNT.fullmatch(value)
    if count:
        return {"": f"{int(count[1])} rows"}
    return {"": entry_name(value) if value.startswith("/") else value}


def told_facts_of(value: str, real: Mapping[str, str]) -> dict[str, str]:
    """The facts of an entry that is told in place of a real one with these facts.

    A little is forgiven: `3` for `3 rows`, and `file, mode 644` for `type file, mode 644`.
    """
    found = facts_of(value)
    if "" not in found or "" in real:
        bare = found.get("", "")
        is_number = bare.isascii() and bare.isdigit() and len(bare) <= _MOST_DIGITS
        is_count = real.get("", "").endswith(" rows")
        return {"": f"{int(bare)} rows"} if is_number and is_count else found
    return _known(_fields(f"type {value.strip()}")) if "type" in real else found


def _fields(value: str) -> dict[str, str]:
    """`type file, mode 644` by field; text that names no field belongs to the one before."""
    fields: dict[str, str] = {}
    name = ""
    parts: list[str] = []
    for part in value.split(", "):
        first, _, rest = part.partition(" ")
        if first in _FIELDS and first not in fields and name not in _TO_THE_END:
            if name:
                fields[name] = ", ".join(parts)
            name, parts = first, [rest]
        else:
            parts.append(part)
    return fields | {name: ", ".join(parts)}


def _known(fields: Mapping[str, str]) -> dict[str, str]:
    """Without what could not be read, and in one spelling."""
    return {name: _spell(name, value) for name, value in fields.items() if value not in _UNKNOWN}


def _spell(name: str, value: str) -> str:
    match name:
        case "type":
            return _TYPES.get(value.strip(), value.strip())
        case "mode":
            return value.strip().lstrip("0") or "0"
        case "size":
            return value.strip().removesuffix(" bytes").removesuffix(" byte")
        case "value" | "target":
            return value
    return value.strip()


def _statement(statement: str) -> dict[str, str]:
    """A table by columns, keys and options; anything else is one fact, its space collapsed."""
    lines = statement.rstrip("; \n").split("\n")
    is_table = re.match(r"CREATE\s+(?:TEMPORARY\s+)?TABLE\s", lines[0], re.IGNORECASE)
    if not is_table or len(lines) == 1:
        return {"": " ".join(statement.rstrip("; \n").split())}
    facts: dict[str, str] = {}
    for line in lines[1:]:
        text = " ".join(line.split()).removesuffix(",")
        if text.startswith(")"):
            facts |= _options(text.removeprefix(")"))
        elif text.startswith("`"):
            name = text[1:].partition("`")[0]
            facts[f"column {name}"] = text
        elif text:
            facts[text] = text
    return facts


def _options(text: str) -> dict[str, str]:
    """`ENGINE=InnoDB DEFAULT CHARSET=utf8mb4` by option; a comment goes to the end."""
    text, is_told, comment = text.partition("COMMENT=")
    options: dict[str, str] = {}
    words: list[str] = []
    for word in text.split():
        words.append(word)
        if "=" in word:
            name, _, value = " ".join(words).partition("=")
            options[f"option {name}"] = value
            words = []
    return options | ({"option COMMENT": comment} if is_told else {})
