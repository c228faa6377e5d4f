"""Losses of a softmax map; see ``api.py``."""
