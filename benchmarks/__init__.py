"""fedreg's benchmarks: `python -m benchmarks`, one table, each row beside its reference from the same run."""
