"""How alembic runs our revisions: on the connection, and in the transaction, it is handed."""

from alembic import context

from fleetjobs.store.schema.whole import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
