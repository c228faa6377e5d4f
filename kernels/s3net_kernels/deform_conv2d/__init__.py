"""Modulated deformable convolution; see ``api.py``."""
