"""Parallel dilated depthwise convolutions of one input; see ``api.py``."""
