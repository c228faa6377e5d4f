"""Shared parts of the suites: timing, candidates in separate processes, machine, metadata."""
