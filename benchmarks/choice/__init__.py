"""Fit the weights with which ``segment.choice=traits`` chooses a target, and report its masks.

    python -m benchmarks.choice --data DIR --maps DIR

fits every development image in DIR with the preset ``best`` and keeps the label maps outside the
repository (those of ``python -m benchmarks.confidence`` serve), measures the traits of all
candidates, fits the weights on the first, third, … image of each set, and writes
``docs/quality/choice.json`` with the masks of ``best`` and ``robust``. An interrupted call resumes.
Then copy the weights of the result file into ``s3net_jax/masks/choice.py`` and repeat the command:
masks are drawn with the weights in that file.
"""
