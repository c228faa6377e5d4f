"""Choose the constants of the confidence of a result, and report how well it works.

    python -m benchmarks.confidence --data DIR --maps DIR

fits every development image in DIR, keeps the label maps outside the repository, makes and measures
results from them, and writes ``docs/quality/confidence.json``. An interrupted call resumes. Label
maps belong to the digest of a configuration, and measures to a digest of the code that makes masks:
after a change of either, the same command computes what has changed. Then copy the weights of the
result file into ``s3net_jax/masks/confidence/calibrations.py``, repeat the command, which now takes
seconds, and write the pages (``python -m benchmarks.pages``).
"""
