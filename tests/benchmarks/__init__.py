"""Benchmarks: `python -m tests.benchmarks`. Never part of the test suite, which times nothing."""
