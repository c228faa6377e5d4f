"""Gated inception of depthwise convolutions; see ``api.py``."""
