"""Tuning of the Pallas kernels: the fastest block sizes on the GPU at hand.

``python -m s3net_kernels.tune`` measures every kernel of a network's step and writes the table
that later calls read.
"""

from s3net_kernels.tune.kernels import KERNELS
from s3net_kernels.tune.problems import problems
from s3net_kernels.tune.profile import kernels_of
from s3net_kernels.tune.search import tune

__all__ = ["KERNELS", "kernels_of", "problems", "tune"]
