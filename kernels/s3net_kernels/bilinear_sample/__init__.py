"""Bilinear sampling at given coordinates; see ``api.py``."""
