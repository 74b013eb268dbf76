"""For adapter authors: the conformance suite, its pytest plugin and a proxy that injects faults.

- `fedreg.testing.backend`: `Backend`, what an author supplies.
- `fedreg.testing.suite`: every test, to be imported with `*` into an adapter's test module.
- `fedreg.testing.plugin`: the pytest plugin (`pytest_plugins = ["fedreg.testing.plugin"]` in the top conftest).
- `fedreg.testing.faults`: `FaultProxy`.

See docs/writing-an-adapter.md.
"""
