"""Engines: who does the fits of a run."""
