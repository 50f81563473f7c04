"""The tables of the journal; `migrations` brings older ones to this."""

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
owners = sql.Table(
    "owners",
    tables,
    sql.Column("session", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(200), nullable=False),
    sql.Column("expiry", sql.String(64), nullable=False),
)
"""Session leases: the owning process, and when its lease expires."""

sql.Index("sessions_by_time", sessions.c.created_at, sessions.c.name)
sql.Index("verdicts_by_verdict", verdicts.c.verdict, verdicts.c.session)
