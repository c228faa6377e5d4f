"""Linear layer with bias, activation and residual; see ``api.py``."""
