"""The gateway's own memory: the index, and the truth about intents, effects, lineage and the journal."""
