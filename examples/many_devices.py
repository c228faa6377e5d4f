"""Fit many images on several devices, and check that the result is that of one device.

    python examples/many_devices.py --devices 2 --images 4

Without GPUs the devices are simulated on the CPU: this shows how to write the program, not how
fast it is.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from synthetic import draw_lesion

import s3net_jax as s3


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, fit on one device and on all, compare, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=2, help="CPU devices to simulate")
    parser.add_argument("--images", type=int, default=4, help="number of pictures to draw")
    parser.add_argument("--steps", type=int, default=6, help="steps of every fit")
    args = parser.parse_args(arguments)
    # Has to precede anything that makes JAX look for devices; GPUs are not affected.
    jax.config.update("jax_num_cpu_devices", args.devices)

    config = s3.preset("fast").replace(
        input={"size": 64}, model={"channels": 12}, fit={"steps": args.steps}
    )
    images = jnp.stack(
        [s3.prepare(draw_lesion(seed=n, size=96)[0], config) for n in range(args.images)]
    )
    keys = jax.random.split(jax.random.key(0), args.images)

    one = s3.fit_batch(keys, images, config)
    # Fits are distributed evenly: each device has its own part of the batch.
    many = s3.fit_batch(keys, images, config, devices=jax.devices())

    print(f"{args.images} fits on {len(jax.devices())} {jax.devices()[0].platform} devices")
    for n in range(args.images):
        losses = one.history["loss"][n], many.history["loss"][n]
        labels = len(np.unique(many.labels[n]))
        print(f"image {n}: loss {losses[1][0]:.3f} to {losses[1][-1]:.3f}, {labels} clusters")
        # Sums may be taken in another order in a batch of another size, so not bit for bit.
        np.testing.assert_allclose(*losses, rtol=1e-2)


if __name__ == "__main__":
    main()
