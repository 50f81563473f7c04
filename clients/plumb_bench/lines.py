"""Files of JSON lines, read strictly: a line that is wrong is told with its place and its field."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class BadLine(ValueError):
    """A line is wrong; the message says file, line, field, and what was expected."""


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that are not empty, each with its place."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{path}, line {number}", line


def parse_object(line: bytes, place: str) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadLine: It is none.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter where it is too deep
        raise BadLine(f"{place}: this is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadLine(f"{place}: expected an object, found {_kind_of(data)}")
    return data


def refuse_unknown(data: dict[str, Any], place: str, known: Sequence[str]) -> None:
    """Refuses fields that mean nothing.

    Raises:
        BadLine: There is one.
    """
    for name in data:
        if name not in known:
            raise BadLine(f"{place}: unknown field {name!r}; the fields are {', '.join(known)}")


def take(
    data: dict[str, Any], place: str, field: str, expected: str, check: Callable[[Any], bool]
) -> Any:
    """Takes a field that must be there.

    Raises:
        BadLine: It is missing, or is not what was expected.
    """
    if field not in data:
        raise BadLine(f"{place}: field {field!r} is missing; expected {expected}")
    if not check(data[field]):
        raise BadLine(f"{place}: field {field!r} is {_kind_of(data[field])}; expected {expected}")
    return data[field]


def is_text(value: Any) -> bool:
    """Whether it is a text that can be sent: an escape in JSON can make half a character."""
    return isinstance(value, str) and not _HALF_A_CHARACTER.search(value)


def is_filled(value: Any) -> bool:
    """Whether it is a text that is not empty."""
    return is_text(value) and bool(value)


def is_texts(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def _kind_of(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."
