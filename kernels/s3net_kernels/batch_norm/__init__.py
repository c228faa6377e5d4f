"""Batch normalisation with the batch's own statistics; see ``api.py``."""
