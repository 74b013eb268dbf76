"""Schema revisions, run by Alembic from `fedreg.store.upgrade`."""
