"""Dense convolution; see ``api.py``."""
