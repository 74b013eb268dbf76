"""The tests of the conformance suite, a module per group of operations."""
