"""List the tuning problems of a network's step: kernels and their shapes."""

from __future__ import annotations

from s3net_kernels._pallas import Problem

__all__ = ["list_problems"]


def list_problems(
    size: int, channels: int, images: tuple[int, ...], dtypes: tuple[str, ...]
) -> list[Problem]:
    """List the tuning problems of a network's step, the most expensive kernels first."""
    depthwise_sizes = [((5, 5), 1), ((3, 3), 1), ((5, 5), 2), ((7, 7), 3)]
    taps = 9
    # (kernel, input channels, output channels, size)
    products = [
        ("gated_inception.backward", 3 * channels, channels, (1, 1)),
        ("gated_inception.forward", 3 * channels, channels, (1, 1)),
        ("linear.backward", channels, channels, (1, 1)),
        ("linear.gelu_backward", channels, channels, (1, 1)),
        ("linear.forward", channels, channels, (1, 1)),
        ("linear.gelu_forward", channels, channels, (1, 1)),
        ("conv2d.weight_grad", channels, 3 * taps, (3, 3)),
        ("conv2d.correlate", channels, 3 * taps, (3, 3)),
        ("conv2d.correlate", 3 * taps, channels, (3, 3)),
        ("conv2d.weight_grad", 3, channels, (3, 3)),
        ("conv2d.correlate", 3, channels, (3, 3)),
    ]
    maps = [
        "batch_norm.sums",
        "batch_norm.statistics",
        "bilinear_sample.backward",
        "softmax_losses.edges_backward",
        "softmax_losses.edges",
        "softmax_losses.backward",
        "softmax_losses.normalise",
        "bilinear_sample.forward",
        "bilinear_sample.gather_sum",
    ]
    found = []
    for dtype in dtypes:
        for n in images:

            def problem(
                name: str,
                inputs: int = channels,
                outputs: int = 0,
                kernel: tuple[int, int] = (1, 1),
                dilation: int = 1,
                *,
                dtype: str = dtype,
                n: int = n,
            ) -> Problem:
                # Matrix products see an image as one row of pixels.
                flat = name.startswith(("linear.", "gated_inception.", "batch_norm."))
                height, width = (1, size * size) if flat else (size, size)
                return Problem(name, dtype, n, height, width, inputs, outputs, kernel, dilation)

            for direction in ("backward", "input_grad", "forward", "scatter", "outliers"):
                found.append(problem(f"deform_conv2d.{direction}", channels, channels, (3, 3)))
            # Used instead of ``backward`` for layers whose sums it cannot hold.
            found.append(problem("deform_conv2d.weight_grad", 2 * channels, 2 * channels, (3, 3)))
            for kernel, dilation in depthwise_sizes:
                for direction in ("weight_grad", "correlate"):
                    name = f"depthwise_conv2d.{direction}"
                    found.append(problem(name, channels, 0, kernel, dilation))
            found += [problem(*product) for product in products]
            found += [problem(name) for name in maps]
    return found
