"""DeepCluster for pixels: cluster the features, train on the clusters, and repeat."""

from s3net_jax.config import DeepClusterConfig
from s3net_jax.methods.base import Method
from s3net_jax.methods.deepcluster.dataset import fit_images
from s3net_jax.methods.deepcluster.method import (
    build_network,
    compute_logits,
    compute_objective,
    make_sgd,
    run_round,
)
from s3net_jax.methods.deepcluster.network import DeepClusterNet
from s3net_jax.methods.trunk import count_values

__all__ = ["METHOD", "DeepClusterNet"]

METHOD = Method(
    config=DeepClusterConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_logits,
    terms=("ce", "inertia"),
    optimizer=make_sgd,
    step=run_round,
    fit_images=fit_images,
    count_values=count_values,
)
