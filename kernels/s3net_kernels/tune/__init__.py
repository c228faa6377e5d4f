"""Tune the Pallas kernels: find the fastest block sizes on this machine's GPU.

``python -m s3net_kernels.tune`` measures every kernel of a network's step and writes the table
that later calls read.
"""

from s3net_kernels.tune.kernels import KERNELS
from s3net_kernels.tune.problems import list_problems
from s3net_kernels.tune.profile import profile_kernels
from s3net_kernels.tune.search import tune

__all__ = ["KERNELS", "list_problems", "profile_kernels", "tune"]
