"""Depthwise convolution; see ``api.py``."""
