"""Linear layer whose result is normalised; see ``api.py``."""
