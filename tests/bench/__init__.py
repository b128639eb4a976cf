"""Benchmarks: ``make bench``. They print a table and write JSON; nothing in the test run asserts a time."""
