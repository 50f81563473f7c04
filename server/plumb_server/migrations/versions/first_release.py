"""The tables of 0.1.0; journals from before it may have some of them already."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates what is missing."""
    op.create_table(
        "sessions",
        sql.Column("name", sql.String(64), primary_key=True),
        sql.Column("kind", sql.String(64), nullable=False),
        sql.Column("backend", sql.String(64), nullable=False),
        sql.Column("request", sql.LargeBinary, nullable=False),
        sql.Column("created_at", sql.DateTime, nullable=False),
        sql.Column("ended_at", sql.DateTime),
        sql.Column("ended_because", sql.String(200)),
        if_not_exists=True,
    )
    op.create_table(
        "steps",
        sql.Column("session", sql.String(64), primary_key=True),
        sql.Column("step_index", sql.BigInteger, primary_key=True, autoincrement=False),
        sql.Column("action", sql.LargeBinary, nullable=False),
        sql.Column("observation", sql.LargeBinary),
        sql.Column("ending", sql.String(20)),
        sql.Column("exit_code", sql.Integer),
        sql.Column("error", sql.Text),
        sql.Column("answered_at", sql.DateTime, nullable=False),
        if_not_exists=True,
    )
    columns = sql.inspect(op.get_bind()).get_columns("steps")
    if "nonce" not in {column["name"] for column in columns}:
        op.add_column("steps", sql.Column("nonce", sql.String(128)))
    op.create_table(
        "resets",
        sql.Column("session", sql.String(64), primary_key=True),
        sql.Column("after_step", sql.BigInteger, primary_key=True, autoincrement=False),
        sql.Column("at", sql.DateTime, primary_key=True),
        if_not_exists=True,
    )
    op.create_table(
        "reports",
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("name", sql.String(64), nullable=False, unique=True),
        sql.Column("request", sql.LargeBinary, nullable=False),
        sql.Column("report", sql.LargeBinary, nullable=False),
        sql.Column("steps", sql.LargeBinary, nullable=False),
        sql.Column("at", sql.DateTime, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "verdicts",
        sql.Column("session", sql.String(64), primary_key=True),
        sql.Column("step_index", sql.BigInteger, primary_key=True, autoincrement=False),
        sql.Column("verdict", sql.String(40), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "owners",
        sql.Column("session", sql.String(64), primary_key=True),
        sql.Column("owner", sql.String(200), nullable=False),
        sql.Column("expiry", sql.String(64), nullable=False),
        if_not_exists=True,
    )
    op.create_index("sessions_by_time", "sessions", ["created_at", "name"], if_not_exists=True)
    op.create_index("verdicts_by_verdict", "verdicts", ["verdict", "session"], if_not_exists=True)
