"""Benchmarks: suites, their runs, records of them, and the tables."""
