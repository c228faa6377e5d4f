"""Measure how marks inside and outside the object improve masks; see ``__main__``."""
