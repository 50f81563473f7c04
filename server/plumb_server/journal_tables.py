"""The tables of the journal."""

from typing import Any

import sqlalchemy as sql

tables = sql.MetaData()
sessions = sql.Table(
    "sessions",
    tables,
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("kind", sql.String(64), nullable=False),
    sql.Column("backend", sql.String(64), nullable=False),
    sql.Column("request", sql.LargeBinary, nullable=False),
    sql.Column("created_at", sql.DateTime, nullable=False),
    sql.Column("ended_at", sql.DateTime),
    sql.Column("ended_because", sql.String(200)),
)
steps = sql.Table(
    "steps",
    tables,
    sql.Column("session", sql.String(64), primary_key=True),
    sql.Column("step_index", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("action", sql.LargeBinary, nullable=False),
    sql.Column("observation", sql.LargeBinary),
    sql.Column("ending", sql.String(20)),
    sql.Column("exit_code", sql.Integer),
    sql.Column("error", sql.Text),
    sql.Column("answered_at", sql.DateTime, nullable=False),
    sql.Column("nonce", sql.String(128)),
)
resets = sql.Table(
    "resets",
    tables,
    sql.Column("session", sql.String(64), primary_key=True),
    sql.Column("after_step", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("at", sql.DateTime, primary_key=True),
)

reports = sql.Table(
    "reports",
    tables,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("name", sql.String(64), nullable=False, unique=True),
    sql.Column("request", sql.LargeBinary, nullable=False),
    sql.Column("report", sql.LargeBinary, nullable=False),
    sql.Column("steps", sql.LargeBinary, nullable=False),
    sql.Column("at", sql.DateTime, nullable=False),
)

verdicts = sql.Table(
    "verdicts",
    tables,
    sql.Column("session", sql.String(64), primary_key=True),
    sql.Column("step_index", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("verdict", sql.String(40), nullable=False),
)
"""A table of its own: journals that were made before it have the others already."""

owners = sql.Table(
    "owners",
    tables,
    sql.Column("session", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(200), nullable=False),
    sql.Column("expiry", sql.String(64), nullable=False),
)
"""Who has a session, so that others can tell when nobody has it any more."""

INDICES = (
    sql.Index("sessions_by_time", sessions.c.created_at, sessions.c.name),
    sql.Index("verdicts_by_verdict", verdicts.c.verdict, verdicts.c.session),
)


def make_missing(engine: sql.Engine) -> None:
    """Makes the tables, columns and indices that are not there yet."""
    tables.create_all(engine)
    for table in tables.sorted_tables:
        for column in _missing(engine, table):
            _add(engine, column)
    for index in INDICES:
        index.create(engine, checkfirst=True)


def _missing(engine: sql.Engine, table: sql.Table) -> "list[sql.Column[Any]]":
    there = {column["name"] for column in sql.inspect(engine).get_columns(table.name)}
    return [column for column in table.columns if column.name not in there]


def _add(engine: sql.Engine, column: "sql.Column[Any]") -> None:
    """Adds a column that may be NULL: what was journaled before has none."""
    made = sql.schema.CreateColumn(column).compile(dialect=engine.dialect)
    quoted = engine.dialect.identifier_preparer.format_table(column.table)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {made}")
    except sql.exc.DBAPIError:
        if column in _missing(engine, column.table):
            raise  # else another server has added it in the same moment
