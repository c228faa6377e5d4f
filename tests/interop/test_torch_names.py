"""Names and layouts of the authors' state dict, without PyTorch."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

from s3net_jax.config import Config
from s3net_jax.fitting import initial_params
from s3net_jax.interop import from_torch, to_torch

AUTHORS = {
    "conv1.weight": (4, 3, 3, 3),
    "bn1.bias": (4,),
    "conv2.1.proj_1x1_1.weight": (4, 4, 1, 1),
    "conv2.0.spatial_gating.conv0.weight": (4, 1, 5, 5),
    "conv2.0.spatial_gating.spatial_convs.2.weight": (4, 1, 7, 7),
    "conv2.1.spatial_gating.conv1.weight": (4, 12, 1, 1),
    "conv2.1.proj_1x1_2.bias": (4,),
    "bn2.1.weight": (4,),
    "convdeform.weight": (4, 4, 3, 3),
    "convdeform.offset": (1, 18, 8, 6),
    "convdeform.mask": (1, 9, 8, 6),
    "bn3.weight": (4,),
    "conv3.weight": (4, 4, 1, 1),
    "bn4.bias": (4,),
    "conv_aux.weight": (4, 4, 1, 1),
    "bn_aux.weight": (4,),
    "map.weight": (4, 3),
    "cf.weight": (4, 4, 1, 1),
    "bf.weight": (4,),
}


def params(**options) -> nnx.State:
    model = {"channels": 4, "deform": "free", "color": "released", **options}
    return initial_params(jax.random.key(0), Config().replace(model=model), (8, 6, 3))


@pytest.mark.slow
def test_our_parameters_have_the_authors_names_and_shapes():
    names = to_torch(params())
    for name, shape in AUTHORS.items():
        assert names[name].shape == shape, name


def test_local_convolutions_of_every_branch_have_names_of_their_own():
    names = to_torch(params(inception="local"))
    assert names["conv2.1.spatial_gating.conv0.2.weight"].shape == (4, 1, 5, 5)
    assert names["conv2.0.spatial_gating.conv0.0.bias"].shape == (4,)
    assert "conv2.0.spatial_gating.conv0.weight" not in names


@pytest.mark.parametrize("inception", ["dilated", "local"])
def test_there_and_back_is_the_same(inception):
    start = nnx.to_pure_dict(params(inception=inception))
    back = from_torch(to_torch(params(inception=inception)))
    assert jax.tree.structure(start) == jax.tree.structure(back)
    jax.tree.map(np.testing.assert_array_equal, start, back)


def test_offsets_stay_interleaved_per_tap():
    offset = np.arange(18 * 48, dtype=np.float32).reshape(1, 18, 8, 6)
    ours = from_torch({"convdeform.offset": offset})["deform"]["offset"]
    np.testing.assert_array_equal(ours[0, 3, 2], offset[0, :, 3, 2])


def test_running_statistics_are_left_out_and_strangers_refused():
    assert from_torch({"bn1.running_mean": np.zeros(4), "bn1.num_batches_tracked": 3}) == {}
    with pytest.raises(ValueError, match=r"module\.conv1\.weight"):
        from_torch({"module.conv1.weight": np.zeros((4, 3, 3, 3))})
    with pytest.raises(ValueError, match=r"conv1\.weigth"):
        from_torch({"conv1.weigth": np.zeros((4, 3, 3, 3))})


def test_shapes_of_other_layers_are_refused():
    for name, shape, expected in [
        ("conv1.weight", (3,), "(out, in, kh, kw)"),
        ("conv2.0.proj_1x1_1.weight", (4, 4, 3, 3), "(out, in, 1, 1)"),
        ("conv2.0.spatial_gating.conv0.weight", (4, 4, 5, 5), "(C, 1, kh, kw)"),
        ("convdeform.offset", (2, 18, 8, 6), "(1, C, H, W)"),
        ("bn1.bias", (4, 1), "(C,)"),
    ]:
        with pytest.raises(ValueError) as caught:
            from_torch({name: np.zeros(shape)})
        text = f"The state dict's {name!r} has the shape {shape}; it must be {expected}."
        assert str(caught.value) == text


def test_what_is_no_state_dict_is_refused():
    with pytest.raises(TypeError, match="expects a state dict, not a str"):
        from_torch("model.pth")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="must hold numbers"):
        from_torch({"conv1.bias": "zeros"})
    with pytest.raises(TypeError, match="expects parameters, not a int"):
        to_torch(3)  # pyright: ignore[reportArgumentType]
