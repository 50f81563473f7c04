"""How Alembic runs the revisions: on the connection that it is given, in its transaction."""

from alembic import context

from plumb_server.journal_tables import tables
from plumb_server.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
