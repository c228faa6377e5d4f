"""The reference's network and optimisation: names, options, presets, early stop."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.presets import PRESETS, preset

torch = pytest.importorskip("torch", reason="the PyTorch reference needs torch")

from benchmarks.torch_reference import PLAIN, Options, S3Net, Trainer, fit  # noqa: E402


def _make_config(name: str, **sections):
    sections = {"model": {}, "fit": {}, **sections}
    sections["model"] = {"channels": 6, **sections["model"]}
    sections["fit"] = {"steps": 3, **sections["fit"]}
    return preset(name).replace(**sections)


@pytest.mark.parametrize("name", [n for n in PRESETS if preset(n).method.name == "s3net"])
def test_presets_fit(name, picture):
    config = _make_config(name, fit={"record_labels": True})
    result = fit(picture, config, seed=1)
    again = fit(picture, config, seed=1)
    shape = picture.shape[:2]
    assert result.logits.shape == (*shape, 6)
    assert result.label_maps is not None
    assert result.label_maps.shape == (3, *shape)
    assert set(result.history) == {"loss", "ce", "affine", "spatial", "labels"}
    assert all(np.isfinite(v).all() for v in result.history.values())
    counts = [len(np.unique(labels)) for labels in result.label_maps]
    np.testing.assert_array_equal(result.history["labels"], counts)
    np.testing.assert_array_equal(result.logits, again.logits)


def test_names_of_the_released_weights():
    config = _make_config("released", model={"color": "released"}).model
    names = set(S3Net(config, (24, 20)).state_dict())
    layers = ["conv1", "bn1", "bn2.0", "bn2.1", "bn3", "conv3", "bn4", "conv_aux", "bn_aux"]
    layers += ["cf", "bf"]
    for i in range(2):
        layers += [f"conv2.{i}.proj_1x1_1", f"conv2.{i}.proj_1x1_2"]
        layers += [f"conv2.{i}.spatial_gating.{part}" for part in ("conv0", "conv1")]
        layers += [f"conv2.{i}.spatial_gating.spatial_convs.{r}" for r in range(3)]
    expected = {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
    deform = {"convdeform.weight", "convdeform.offset", "convdeform.mask"}
    assert names == expected | deform | {"map.weight"}


def test_options_change_no_result(picture):
    config = _make_config("paper-lung", model={"dtype": "float64"})
    expected = fit(picture, config)
    for options in (
        Options(channels_last=False),
        Options(depthwise="native"),
        Options(deform="grid_sample"),
        PLAIN,
    ):
        result = fit(picture, config, options=options)
        np.testing.assert_allclose(result.logits, expected.logits, rtol=1e-8, atol=1e-9)


def test_normalisation_always_uses_the_image(picture):
    trainer = Trainer(picture, _make_config("paper"))
    training = trainer.logits()
    trainer.model.eval()
    assert torch.equal(trainer.logits(), training)


def test_early_stop_comes_after_the_floor(picture):
    config = _make_config("paper", fit={"steps": 6, "stop_labels": 6, "stop_after": 3})
    result = fit(picture, config)
    assert result.steps == 3
    assert len(result.history["loss"]) == 3
    never = fit(picture, config.replace(fit={"stop_labels": 0}))
    assert never.steps == 6


def test_quarter_turn_equals_its_matrix(picture):
    square = picture[:20]
    config = _make_config("released", model={"dtype": "float64"})
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    drawn = fit(square, config)
    given = fit(square, config, transforms=[turn] * 3)
    np.testing.assert_allclose(given.history["affine"], drawn.history["affine"], rtol=1e-9)


def test_bfloat16_stays_near_float32(picture):
    config = _make_config("paper")
    half = _make_config("paper", model={"dtype": "bfloat16"})
    expected = fit(picture, config).history["loss"]
    np.testing.assert_allclose(fit(picture, half).history["loss"], expected, rtol=0.05)
