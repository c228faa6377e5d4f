"""Test that ``segment_batch`` equals separate calls for images of several sizes and seeds."""

from __future__ import annotations

import numpy as np
import pytest

import s3net_jax as s3


def picture(shape, seed):
    random = np.random.default_rng(seed)
    coarse = random.random((4, 4, 3))
    rows, columns = (np.arange(side) * 4 // side for side in shape)
    noise = random.random((*shape, 3)) * 0.05
    return (coarse[rows][:, columns] * 0.9 + noise).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("aspect", ["square", "keep"])
def test_as_one_by_one(aspect):
    config = s3.preset("fast").replace(
        input={"size": 24, "aspect": aspect},
        model={"channels": 6},
        fit={"steps": 2, "learning_rate": 0.01},
    )
    images = [picture(shape, n) for n, shape in enumerate([(20, 30), (40, 40), (30, 20), (22, 33)])]
    found = s3.segment_batch(images, config=config, seeds=[0, 7])
    assert [len(each) for each in found] == [2] * 4
    for image, each in zip(images, found, strict=True):
        for seed, result in zip([0, 7], each, strict=True):
            single = s3.segment(image, config=config, seed=seed)
            assert result.labels.shape == image.shape[:2]
            assert result.steps == single.steps
            np.testing.assert_allclose(result.history["loss"], single.history["loss"], rtol=1e-4)
            assert np.mean(result.mask == single.mask) > 0.98


def test_no_images_and_no_seeds():
    assert s3.segment_batch([]) == []
    with pytest.raises(ValueError, match="at least one seed"):
        s3.segment_batch([], seeds=[])


def test_a_broken_image_says_which():
    with pytest.raises(s3.InputError, match="only one colour"):
        s3.segment_batch([picture((20, 20), 0), np.zeros((20, 20, 3))])
