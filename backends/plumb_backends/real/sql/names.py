"""Logical database names, which the agent sees, and physical ones, which the server has.

Every database of a session is physically `<prefix><name>`, with a prefix of the session's own. On
the way in the prefix is put before names in *schema positions*, and only there: a table may have
its database's name, and then `shop.id` in an expression is a column. On the way out the prefix is
taken off wherever it occurs, for it occurs nowhere else.

Two-part names are a schema and a table after the keywords that take a table, and a table and a
column elsewhere: https://dev.mysql.com/doc/refman/8.4/en/identifier-qualifiers.html
"""

import dataclasses
from collections.abc import Sequence

from plumb_backends.kinds.mysql import SYSTEM_SCHEMAS
from plumb_backends.sql.lexer import Kind, Token, tokenize
from plumb_backends.sql.result import RawError, RawResult, RawRows

_SYSTEM = frozenset(name.upper().encode() for name in SYSTEM_SCHEMAS)
_DDL = frozenset({b"CREATE", b"DROP", b"ALTER", b"SHOW"})

_ALWAYS = frozenset({b"FROM", b"JOIN", b"STRAIGHT_JOIN", b"INTO", b"TABLE", b"TABLES",
                     b"REFERENCES", b"CALL"})  # fmt: skip
"""Behind these a table's name stands, in any statement."""

_IN_DDL = frozenset({b"VIEW", b"PROCEDURE", b"FUNCTION", b"TRIGGER", b"EVENT", b"TO", b"RENAME",
                     b"LIKE"})  # fmt: skip
_FIRST = frozenset({b"DESCRIBE", b"DESC", b"EXPLAIN", b"INSERT", b"REPLACE", b"DELETE", b"UPDATE",
                    b"TRUNCATE", b"RENAME"})  # fmt: skip
"""Behind these, where they begin a statement."""

_BETWEEN = frozenset({b"LOW_PRIORITY", b"HIGH_PRIORITY", b"DELAYED", b"QUICK", b"IGNORE", b"IF",
                      b"NOT", b"EXISTS", b"LATERAL", b"TABLE", b"FROM", b"INTO", b"FULL",
                      b"EXTENDED"})  # fmt: skip
"""What may stand between those words and the name."""

_LIST_ENDS = frozenset({b"WHERE", b"SET", b"GROUP", b"ORDER", b"HAVING", b"LIMIT", b"VALUES",
                        b"VALUE", b"SELECT", b"UNION", b"ON", b"WINDOW", b"FOR"})  # fmt: skip
"""Behind these a comma goes on with something else than tables."""

_LISTS_OF_SCHEMA = (b"TABLES", b"STATUS", b"TRIGGERS", b"EVENTS")
_LISTS_OF_TABLE = (b"COLUMNS", b"FIELDS", b"INDEX", b"INDEXES", b"KEYS")


class Names:
    """The names of one session.

    Args:
        prefix: Of its physical names; empty where the server is its own, and nothing is mapped.
        database: The first logical name.
    """

    def __init__(self, prefix: str, database: str) -> None:
        self._prefix = prefix.encode()
        self._known = {database.encode()}

    def physical(self, name: str) -> str:
        """What a database is called on the server."""
        return self._prefix.decode() + name

    def to_physical(self, statement: bytes) -> bytes:
        """Maps a statement on its way in; one without schema positions comes back as it is."""
        if not self._prefix:
            return statement
        tokens = [token for token in tokenize(statement) if not token.is_space]
        schemas = list(_Positions(tokens).schemas())
        self._known.update(_unquoted(token) for token in schemas)
        edits = {token.start: (token, self._with_prefix(token)) for token in schemas}
        for token, text in self._literals(tokens):
            edits[token.start] = (token, text)
        return _edited(statement, [edits[start] for start in sorted(edits)])

    def to_logical(self, data: bytes) -> bytes:
        """Maps what comes out."""
        return data.replace(self._prefix, b"") if self._prefix else data

    def result_to_logical(self, result: RawResult) -> RawResult:
        """Maps a result: the names of its columns, its cells, its message."""
        if not self._prefix:
            return result
        prefix = self._prefix.decode()
        match result:
            case RawRows():
                return dataclasses.replace(
                    result,
                    columns=tuple(
                        dataclasses.replace(column, name=column.name.replace(prefix, ""))
                        for column in result.columns
                    ),
                    rows=[
                        tuple(
                            cell.replace(self._prefix, b"")
                            if cell is not None and self._prefix in cell
                            else cell
                            for cell in row
                        )
                        for row in result.rows
                    ],
                )
            case RawError():
                return dataclasses.replace(result, message=result.message.replace(prefix, ""))
            case _:
                return result

    def _with_prefix(self, token: Token) -> bytes:
        if token.kind is Kind.NAME:
            return b"`" + self._prefix + token.text[1:]
        return self._prefix + token.text

    def _literals(self, tokens: Sequence[Token]) -> "list[tuple[Token, bytes]]":
        """Texts that are databases' names: where a statement asks about databases."""
        words = [token.upper for token in tokens]
        strings = [token for token in tokens if token.kind is Kind.STRING]
        if not strings:
            return []
        if words[0] == b"PREPARE":
            return [(token, self._mapped_inside(token)) for token in strings]
        if words[0] == b"SHOW" and words[1:2] in ([b"DATABASES"], [b"SCHEMAS"]):
            return [(token, token.text[:1] + self._prefix + token.text[1:]) for token in strings]
        if not _asks_about_databases(tokens):
            return []
        return [
            (token, token.text[:1] + self._prefix + token.text[1:])
            for token in strings
            if token.text[1:-1] in self._known
        ]

    def _mapped_inside(self, token: Token) -> bytes:
        return token.text[:1] + self.to_physical(token.text[1:-1]) + token.text[-1:]


def _asks_about_databases(tokens: Sequence[Token]) -> bool:
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        word = _unquoted(token).upper() if _is_name(token) else b""
        if word == b"INFORMATION_SCHEMA":
            return True
        is_call = following is not None and following.text == b"("
        if word in (b"DATABASE", b"SCHEMA") and is_call:
            return True
    return False


def _edited(statement: bytes, edits: Sequence[tuple[Token, bytes]]) -> bytes:
    pieces, position = [], 0
    for token, text in edits:
        pieces += [statement[position : token.start], text]
        position = token.end
    return b"".join([*pieces, statement[position:]])


def _is_name(token: Token) -> bool:
    return token.kind in (Kind.NAME, Kind.WORD)


def _unquoted(token: Token) -> bytes:
    if token.kind is Kind.NAME:
        return token.text[1:-1].replace(b"``", b"`")
    return token.text


class _Positions:
    """Finds the tokens of one statement that name a schema."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._words = [token.upper for token in tokens]
        self._first = self._words[0] if self._words else b""
        self._expecting = False  # the next name is a table's
        self._listing: list[bool] = [False]  # by depth of brackets: a comma goes on with tables
        self._selecting: list[bool] = [True]  # by depth: FROM is a clause, not part of EXTRACT()
        self._seen_select = False

    def schemas(self) -> "list[Token]":
        """The tokens, in order; those of the server's own schemas are left out."""
        found = [*self._alone(), *self._qualifying()]
        return [token for token in found if _unquoted(token).upper() not in _SYSTEM]

    def _alone(self) -> "list[Token]":
        """Names that stand for a schema by themselves."""
        words = self._words
        if self._first == b"USE":
            return self._name_at(1)
        if self._first == b"SHOW":
            return self._alone_in_show()
        if self._first in _DDL and words[1:2] in ([b"DATABASE"], [b"SCHEMA"]):
            return self._name_at(self._behind_if_exists(2))
        return []

    def _alone_in_show(self) -> "list[Token]":
        words = self._words
        if words[1:2] == [b"CREATE"] and words[2:3] in ([b"DATABASE"], [b"SCHEMA"]):
            return self._name_at(self._behind_if_exists(3))
        places = [index for index, word in enumerate(words) if word in (b"FROM", b"IN")]
        head = words[1 : places[0]] if places else []
        if any(word in _LISTS_OF_SCHEMA for word in head):
            return self._name_at(places[0] + 1)
        if any(word in _LISTS_OF_TABLE for word in head) and len(places) > 1:
            return self._name_at(places[1] + 1)
        return []

    def _behind_if_exists(self, index: int) -> int:
        while self._words[index : index + 1] and self._words[index] in (b"IF", b"NOT", b"EXISTS"):
            index += 1
        return index

    def _name_at(self, index: int) -> "list[Token]":
        tokens = self._tokens[index : index + 1]
        return [token for token in tokens if _is_name(token)]

    def _qualifying(self) -> "list[Token]":
        """Names before a dot that stand for a schema."""
        found = []
        index = 0
        while index < len(self._tokens):
            chain = self._chain(index)
            if chain and not (chain == 1 and self._is_keyword(index)):
                if self._names_schema(index, chain):
                    found.append(self._tokens[index])
                self._after_name()
                index += 2 * chain - 1
            else:
                self._see(index)
                index += 1
        return found

    def _chain(self, index: int) -> int:
        """How many parts the name that begins here has; 0 if there is none."""
        if not _is_name(self._tokens[index]):
            return 0
        parts = 1
        while self._text(index + 2 * parts - 1) == b"." and self._is_part(index + 2 * parts):
            parts += 1
        return parts

    def _is_part(self, index: int) -> bool:
        return index < len(self._tokens) and (
            _is_name(self._tokens[index]) or self._tokens[index].text == b"*"
        )

    def _text(self, index: int) -> bytes:
        return self._tokens[index].text if 0 <= index < len(self._tokens) else b""

    def _names_schema(self, index: int, chain: int) -> bool:
        if chain == 1 or self._text(index - 1) == b".":
            return False
        return chain >= 3 or self._expecting or self._text(index + 2 * chain - 1) == b"("

    def _after_name(self) -> None:
        if self._expecting:
            self._expecting = False
            self._listing[-1] = True

    def _is_keyword(self, index: int) -> bool:
        """Whether a word says something about positions here; other words are names."""
        word = self._words[index]
        return bool(word) and (
            self._takes_table(index) or word in _LIST_ENDS or (self._expecting and word in _BETWEEN)
        )

    def _see(self, index: int) -> None:
        word, text = self._words[index], self._tokens[index].text
        if text == b"(":
            # Brackets round tables go on expecting one; those of a function do not.
            self._listing.append(self._expecting)
            self._selecting.append(self._words[index + 1 : index + 2] == [b"SELECT"])
        elif text == b")":
            self._expecting = False
            if len(self._listing) > 1:
                self._listing.pop()
                self._selecting.pop()
        elif text == b",":
            self._expecting = self._listing[-1]
        elif self._takes_table(index):
            self._expecting = True
        elif word in _LIST_ENDS:
            self._expecting = self._listing[-1] = False
        self._seen_select |= word == b"SELECT"

    def _takes_table(self, index: int) -> bool:
        """Whether a table's name follows."""
        word, before = self._words[index], self._words[index - 1] if index else b""
        if not word or (self._text(index + 1) == b"(" and word in (b"REPLACE", b"TRUNCATE")):
            return False
        if word == b"UPDATE":
            return before not in (b"KEY", b"FOR", b"ON")
        if word == b"FROM":
            return self._selecting[-1]
        if word == b"ON":
            return self._first in (b"GRANT", b"REVOKE") or (
                self._first in _DDL and not self._seen_select
                and any(kind in self._words[1:5] for kind in (b"INDEX", b"TRIGGER"))
            )  # fmt: skip
        if word in _IN_DDL:
            in_ddl = self._first in _DDL or self._first == b"RENAME"
            return in_ddl and not self._seen_select
        return word in _ALWAYS or (index == 0 and word in _FIRST)
