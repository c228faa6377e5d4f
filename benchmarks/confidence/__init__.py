"""Choose the constants of the confidence of a result, and report how well it works.

python -m benchmarks.confidence fit --data DIR --maps DIR      fit every image once, keep label maps
python -m benchmarks.confidence report --data DIR --maps DIR   write docs/quality/confidence.json
"""
