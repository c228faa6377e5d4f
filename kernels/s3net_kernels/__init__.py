"""Operators for convolutional attention: depthwise and deformable convolution, and warps.

Every operator takes NHWC arrays and has stride 1 and "same" zero padding. It is differentiable in
reverse mode in its floating point inputs, except the weights of losses (the reference in forward
mode too), and works under ``jit``, ``vmap`` and ``shard_map``. The argument ``implementation``
names one of :data:`IMPLEMENTATIONS`, or one added by :func:`register_implementation`; None selects
the best one for the platform, shapes and dtypes. :func:`explain` shows which one a call takes.
"""

from __future__ import annotations

from s3net_kernels._config import config
from s3net_kernels._dispatch import Explanation, FallbackWarning, UnsupportedError, explain
from s3net_kernels._memory import keep_memory
from s3net_kernels._registry import (
    IMPLEMENTATIONS,
    OPERATORS,
    implementations,
    register_implementation,
    unregister_implementation,
)
from s3net_kernels._sobel import sobel
from s3net_kernels.affine_warp.api import affine_warp
from s3net_kernels.batch_norm.api import batch_norm
from s3net_kernels.bilinear_sample.api import bilinear_sample
from s3net_kernels.conv2d.api import conv2d
from s3net_kernels.deform_conv2d.api import deform_conv2d
from s3net_kernels.depthwise_conv2d.api import depthwise_conv2d
from s3net_kernels.gated_inception.api import gated_inception
from s3net_kernels.inception_depthwise.api import inception_depthwise
from s3net_kernels.linear.api import linear
from s3net_kernels.linear_norm.api import linear_norm
from s3net_kernels.softmax_losses.api import softmax_losses

__all__ = [
    "IMPLEMENTATIONS",
    "OPERATORS",
    "Explanation",
    "FallbackWarning",
    "UnsupportedError",
    "affine_warp",
    "batch_norm",
    "bilinear_sample",
    "config",
    "conv2d",
    "deform_conv2d",
    "depthwise_conv2d",
    "explain",
    "gated_inception",
    "implementations",
    "inception_depthwise",
    "keep_memory",
    "linear",
    "linear_norm",
    "register_implementation",
    "sobel",
    "softmax_losses",
    "unregister_implementation",
]
