"""DeepCluster for pixels: cluster the features, train on the clusters, and repeat."""

from s3net_jax.methods.deepcluster.method import METHOD
from s3net_jax.methods.deepcluster.network import DeepClusterNet

__all__ = ["METHOD", "DeepClusterNet"]
