"""Which cells of a result are the server's own: its version, its variables, its estimates."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from plumb_fidelity.action import SQL_TOKEN, is_comment

_KNOWN_VARIABLES = frozenset(
    {"autocommit", "sql_safe_updates", "foreign_key_checks", "unique_checks", "last_insert_id",
     "identity", "warning_count", "error_count", "transaction_isolation", "transaction_read_only",
     "sql_notes", "sql_warnings", "sql_auto_is_null", "group_concat_max_len", "sql_select_limit",
     "auto_increment_increment", "auto_increment_offset", "sql_quote_show_create", "big_tables",
     "wait_timeout", "interactive_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout",
     "default_storage_engine", "div_precision_increment", "cte_max_recursion_depth",
     "max_sp_recursion_depth", "explicit_defaults_for_timestamp", "event_scheduler"}
)  # fmt: skip
"""Variables whose defaults the manual gives, and that are seldom set otherwise."""

_FUNCTIONS = frozenset({"version", "user", "current_user", "session_user", "system_user"})
_ESTIMATES = frozenset(
    {"rows", "filtered", "cardinality", "table_rows", "avg_row_length", "data_length",
     "max_data_length", "index_length", "data_free", "version"}
)  # fmt: skip
_OWN_SHOWS = frozenset({"processlist", "status", "engines", "plugins", "privileges", "character",
                        "charset", "collation", "engine", "events", "binary", "master", "replica",
                        "replicas", "profiles", "open"})  # fmt: skip
_EXPLAINS = frozenset({"explain", "desc", "describe"})
_EXPLAINED = frozenset({"select", "insert", "update", "delete", "replace", "with", "table", "(",
                        "format", "analyze", "extended", "partitions", "for"})  # fmt: skip
_OF_SCHEMA = frozenset({"table_schema", "constraint_schema", "routine_schema", "trigger_schema",
                        "schema_name", "event_schema", "table_name", "index_schema"})  # fmt: skip
_OWN_SCHEMAS = ("performance_schema.", "mysql.", "sys.")
_ABOUT_SERVER = re.compile(
    r"information_schema\.(?:processlist|innodb_\w+|engines|plugins|character_sets|collations"
    r"|\w+_privileges|files|global_\w+|session_\w+|optimizer_trace|keywords|resource_groups)"
)
_COSTS = re.compile(
    r"\((?:cost|actual time)=[^)]{0,200}\)"
    r"|\"(?:\w+_cost|cost|rows_\w+|filtered|estimated_\w+|data_read_per_join)\": *[^\s,}]{1,40}"
)
_MOST_ITEMS = 200
_READABLE = 32 * 1024
_GIVEN = re.compile(
    r"\bset\s+(?:(?:session|local|global)\s+|@@(?:session\.|local\.|global\.)?)?(\w{1,64})\s*:?=",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """What of a statement's result is the server's own.

    Attributes:
        everything: Whether all rows are.
        names: The columns whose cells are, in lower case; of variables those that are known.
        places: The columns whose cells are, from 0.
        variables: Whether rows are variables.
    """

    everything: bool = False
    names: frozenset[str] = frozenset()
    places: frozenset[int] = frozenset()
    variables: bool = False


def given_in(action: str) -> frozenset[str]:
    """The variables that an action sets itself, in lower case: what they are is known."""
    return frozenset(name.lower() for name in _GIVEN.findall(action[:_READABLE]))


def own_of(statement: str, given: frozenset[str] = frozenset()) -> Own | None:
    """What of a statement's result is the server's own; None where nothing is.

    Args:
        statement: One statement.
        given: The variables that are known, for the action sets them.
    """
    words = [word for word in SQL_TOKEN.findall(statement) if not is_comment(word)]
    lower = [word.lower() for word in words]
    if not lower:
        return None
    if lower[0] == "show":
        return _of_show(lower)
    if lower[0] in _EXPLAINS:
        is_plan = lower[1:2] != [] and lower[1] in _EXPLAINED
        return Own(names=frozenset({"rows", "filtered"})) if is_plan else None
    if lower[0] in ("select", "with", "("):
        return _of_select(words, lower, given)
    return None


def _of_show(lower: Sequence[str]) -> Own | None:
    rest = [w for w in lower[1:6] if w not in ("full", "global", "session", "extended", "local")]
    first = rest[0] if rest else ""
    if first == "variables":
        return Own(variables=True)
    if first in ("index", "indexes", "keys") or rest[:2] == ["table", "status"]:
        return Own(names=_ESTIMATES)
    if first == "grants":
        is_own = "for" not in rest or any(w in ("current_user", "'root'") for w in lower)
        return Own(everything=True) if is_own else None
    return Own(everything=True) if first in _OWN_SHOWS else None


def _of_select(words: Sequence[str], lower: Sequence[str], given: frozenset[str]) -> Own | None:
    sources = [w for w in lower if "." in w and not w.startswith(("'", '"'))]
    if any(w.startswith(_OWN_SCHEMAS) or _ABOUT_SERVER.match(w) for w in sources):
        return Own(everything=True)
    if any(w.startswith("information_schema.") for w in sources):
        is_of_schema = any(w.rpartition(".")[2] in _OF_SCHEMA for w in _behind(lower, "where"))
        return Own(names=_ESTIMATES) if is_of_schema else Own(everything=True)
    places = frozenset(at for at, item in enumerate(_items(words)) if is_own_item(item, given))
    return Own(places=places) if places else None


def _behind(lower: Sequence[str], word: str) -> Sequence[str]:
    return lower[lower.index(word) :] if word in lower else ()


def _items(words: Sequence[str]) -> Iterator[list[str]]:
    """The expressions of a select list, as far as it can be counted."""
    depth, item, count = 0, list[str](), 0
    for word in words[1:]:
        depth += (word == "(") - (word == ")")
        ends = depth == 0 and word.lower() in ("from", ";", "limit", "union", "order", "into")
        if ends or (depth == 0 and word == ","):
            yield item
            item, count = [], count + 1
            if ends or count > _MOST_ITEMS:
                return
        else:
            if depth == 0 and word == "*" and not item:
                return  # nobody can count what follows
            item.append(word)
    yield item


def is_own_item(item: Sequence[str], given: frozenset[str] = frozenset()) -> bool:
    """Whether an expression asks for a function or a variable of the server."""
    return any(name not in given for name in _names_in(item))


def _names_in(item: Sequence[str]) -> Iterator[str]:
    for at, word in enumerate(item):
        name = word.lower()
        if (item[at + 1 : at + 2] == ["("] and name in _FUNCTIONS) or name == "current_user":
            yield name
        elif item[max(at - 2, 0) : at] == ["@", "@"]:
            variable = name.rpartition(".")[2]
            if variable not in _KNOWN_VARIABLES:
                yield variable


def knows_variable(name: str, value: str, told: str) -> bool:
    """Whether a variable's value is known: by its default, or because it was told."""
    name = name.lower()
    return name in _KNOWN_VARIABLES or is_told(value, told, name)


def is_told(value: str, told: str, name: str = "") -> bool:
    """Whether a value was told, and under its name where one is given."""
    value, told = value.strip().casefold(), told.casefold()
    if not value or value not in told:
        return False
    if name:
        return bool(re.search(rf"\b{re.escape(name)}\b[^\n]{{0,9}}{re.escape(value)}", told))
    return bool(re.search(rf"(?<![\w.]){re.escape(value)}(?![\w]|\.\w)", told))


def without_costs(cell: str) -> str:
    """A plan's text without the optimizer's estimates."""
    return _COSTS.sub("(estimated)", cell)
