"""Alembic's entry: runs on the connection, and in the transaction, that `fedreg.store.upgrade` hands over."""

from alembic import context

from fedreg.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
