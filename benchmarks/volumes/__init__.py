"""Compare one network for a volume with a fit of every slice: ``python -m benchmarks.volumes``."""
