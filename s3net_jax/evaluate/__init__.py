"""Honest evaluation: metrics, protocols, data sets with ground truth, statistics."""
