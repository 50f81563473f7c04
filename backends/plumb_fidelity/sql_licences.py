"""What a statement licenses its columns to differ in, by what it selects.

A column's values are exact. Numbers compare by value where the column is one of numbers: they stand
on the right then, or an aggregate or arithmetic made them. Where a result is too narrow to tell,
only what is computed is a number.
"""

import functools
import re
from collections.abc import Sequence

from plumb_fidelity.action import sql_words
from plumb_fidelity.chance import UPPER_HASH, between, of_expression
from plumb_fidelity.kinds import (
    DRAWN,
    EPOCH,
    HASH,
    NOW,
    SHARE,
    SPENT,
    STAMPED,
    TIME_OF_DAY,
    UUID,
    Kind,
)
from plumb_fidelity.licences import Licence, Licences, of_columns

LEFT, RIGHT, FULL = "left", "right", "full"
"""Where the values of a column stand; FULL where they are as wide as it is."""

_CLOCK: tuple[Kind, ...] = (NOW, TIME_OF_DAY)
_EXPRESSIONS: tuple[tuple[re.Pattern[str], tuple[Kind, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kinds)
    for pattern, kinds in (
        (r"\b(?:now|sysdate|curdate|curtime|utc_date|utc_time|utc_timestamp|localtime"
         r"|localtimestamp|current_timestamp|current_date|current_time)\b(?!\.)", _CLOCK),
        (r"\bunix_timestamp\s*\(\s*(?:\)|now\b|sysdate\b|current_timestamp\b|localtime)", (EPOCH,)),
        (r"\bhex\s*\(\s*random_bytes\s*\(|\bupper\s*\(\s*(?:md5|sha1?)\s*\(\s*(?:rand|uuid)\s*\(",
         (UPPER_HASH,)),
        (r"\buuid\s*\(", (UUID,)),
        (r"\buuid_short\s*\(|\bconnection_id\s*\(|@@pseudo_thread_id", (DRAWN,)),
        (r"\brandom_bytes\s*\(|\b(?:md5|sha1?|sha2)\s*\(\s*(?:rand|uuid)\s*\(", (HASH,)),
    )
)  # fmt: skip
_RAND = re.compile(r"\brand\s*\(\s*\)", re.IGNORECASE)
_ONLY_RAND = re.compile(r"\s*rand\s*\(\s*\)(?:\s+as\s+\w+|\s+\w+)?\s*", re.IGNORECASE)
_COMPARED = re.compile(r"[<>]=?|!=|\)\s*=|=\s*rand", re.IGNORECASE)
_COMPUTED = re.compile(
    r"\b(?:sum|avg|count|min|max|std\w*|var\w*|round|floor|ceil\w*|truncate|abs|mod|pow\w*|sqrt|ln"
    r"|log\d*|exp|pi|sin|cos|tan|length|char_length|datediff|timestampdiff|json_length|rank"
    r"|dense_rank|row_number|ntile|percent_rank|cume_dist|coalesce|ifnull)\s*\("
    r"|[\w)] *[*/+-] *[\w(]",
    re.IGNORECASE,
)  # fmt: skip
_TEXT = re.compile(
    r"^\s*(?:concat\w*|format|lpad|rpad|left|right|substr\w*|mid|char|hex|date_format|replace"
    r"|group_concat|upper|lower|trim|json_unquote|json_extract|elt|repeat)\s*\(",
    re.IGNORECASE,
)
_SHOWN: dict[str, dict[str, tuple[Kind, ...]]] = {
    "processlist": {"id": (DRAWN,), "time": (DRAWN._replace(is_single=False),), "host": (DRAWN,)},
    "table status": {"create_time": _CLOCK, "update_time": _CLOCK, "check_time": _CLOCK},
    "profiles": {"duration": (SHARE._replace(is_single=False),)},
    "status": {"value": (DRAWN,)},
}
_SHOW = re.compile(
    r"\s*show\s+(?:full\s+|global\s+|session\s+)?(processlist|table\s+status|profiles|status)\b"
    r"|.*\binformation_schema\s*\.\s*(processlist)\b",
    re.IGNORECASE | re.DOTALL,
)
_SELECT = re.compile(r"\s*(?:\(\s*)*select\b(?:\s+(?:distinct|all|sql_\w+)\b)*", re.IGNORECASE)
_LISTED = re.compile(r"\s*(group_concat|json_arrayagg)\s*\(", re.IGNORECASE)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_SEPARATED = re.compile(r"\bseparator\s+'([^']*)'", re.IGNORECASE)
_MOST_COLUMNS = 4096


def of_result(statement: str, names: Sequence[str], sides: Sequence[str]) -> Licences:
    """The licences of a result's columns.

    Args:
        statement: What was asked.
        names: The columns' names.
        sides: Where each one's values stand: LEFT, RIGHT or FULL.
    """
    selected = select_list(statement)
    by_position = selected if len(selected) == len(names) else ()
    shown = _shown(statement)
    return of_columns(
        [
            _column(
                by_position[at] if by_position else "",
                sides[at] if at < len(sides) else FULL,
                shown.get(name.lower(), ()),
            )
            for at, name in enumerate(names)
        ]
    )


def _shown(statement: str) -> dict[str, tuple[Kind, ...]]:
    found = _SHOW.match(statement[:_MOST_COLUMNS])
    return _SHOWN[" ".join((found[1] or found[2]).lower().split())] if found else {}


def _column(expression: str, side: str, shown: tuple[Kind, ...]) -> Licence:
    kinds = (*shown, *(kind for pattern, kinds in _EXPRESSIONS if pattern.search(expression)
                       for kind in kinds))  # fmt: skip
    if _RAND.search(expression):
        bounded = of_expression(expression)
        bounded = bounded and bounded._replace(is_single=False)
        if _COMPARED.search(expression):
            bounded = between(0, 1)
        kinds += (bounded or (SHARE if _ONLY_RAND.fullmatch(expression) else DRAWN),)
    if "sleep(" in expression.lower() or "benchmark(" in expression.lower():
        kinds += (SPENT,)
    is_computed = bool(_COMPUTED.search(expression)) and not _TEXT.match(expression)
    is_number = side == RIGHT or (side == FULL and is_computed)
    return Licence(
        kinds=(STAMPED, *kinds),
        numbers=is_number,
        floats=side != LEFT,
        separator=_separator(expression),
    )


def _separator(expression: str) -> str:
    """What stands between the parts of a list that the server makes in no order."""
    found = _LISTED.match(expression)
    if not found or _ORDERED.search(expression):
        return ""
    given = _SEPARATED.search(expression)
    return ", " if found[1].lower() == "json_arrayagg" else given[1] if given else ","


@functools.lru_cache(maxsize=256)
def _short_list(statement: str) -> tuple[str, ...]:
    return _select_list(statement)


def select_list(statement: str) -> tuple[str, ...]:
    """The expressions that a SELECT asks for, as written; () where it is none, or has a star."""
    return _short_list(statement) if len(statement) <= 1024 else _select_list(statement)


def _select_list(statement: str) -> tuple[str, ...]:
    found = _SELECT.match(statement)
    if not found:
        return ()
    expressions: list[list[str]] = [[]]
    depth = 0
    for word in sql_words(statement[found.end() :]):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word.lower() in ("from", "union", "limit", "order", "where", ";", "into"):
            break
        if depth == 0 and word == ",":
            expressions.append([])
        else:
            expressions[-1].append(word)
    texts = tuple(" ".join(words) for words in expressions)
    return () if any(text == "*" or text.endswith((".*", ". *")) for text in texts) else texts
