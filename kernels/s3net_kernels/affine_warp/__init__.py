"""Affine warp of images; see ``api.py``."""
