"""Configurations: replacing fields, presets, hashes, and clear errors."""

from __future__ import annotations

import pytest

from s3net_jax.config import Config, ConfigError, FitConfig, ModelConfig, parse_overrides
from s3net_jax.fitting import hyperparameters, static_config
from s3net_jax.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_presets_carry_their_name(name):
    assert preset(name).preset == name


def test_the_digest_is_the_same_on_every_machine_and_day():
    """Results of before carry it: another one would refuse them. Those of presets are pinned in
    `test_published.py`."""
    changes = {"fit": {"steps": 3}, "loss": {"weight_ce": 2, "affine": {"rotation": (-5, 5)}}}
    assert Config().replace(**changes).digest == "5b5f9d2a3110c843"
    assert Config().digest == "182815fd944b48bb"


def test_equal_configurations_are_one_static_argument():
    changes = {"inception": "local", "residual": "before_projection"}
    one, other = preset("paper"), Config().replace(model=changes)
    assert one is not other and one == other and hash(one) == hash(other)
    assert len({one, other, one.replace(fit={"steps": 3})}) == 2


def test_configurations_print_a_section_a_line():
    config = preset("best").replace(fit={"record_labels": True})
    lines = str(config).splitlines()
    names = ["Config", "input", "model", "loss", "loss.affine", "fit", "segment", "method"]
    assert [line.partition(":")[0] for line in lines] == names
    assert lines[0] == "Config: preset=best"
    assert lines[1].startswith("input: size=128 aspect=square ")
    assert " members=4 record_labels=true " in lines[5]
    # What is printed can be set.
    words = [line.split(": ") for line in lines[1:]]
    sets = [f"{section}.{field}" for section, fields in words for field in fields.split()]
    assert preset("paper").replace(preset="best", **parse_overrides(sets)) == config


def test_differences_lead_from_one_configuration_to_the_other():
    base = preset("best")
    config = base.replace(fit={"steps": 9}, loss={"affine": {"scale": (1, 2)}})
    assert config.differences(base) == {"fit.steps": 9, "loss.affine.scale": (1.0, 2.0)}
    assert base.differences(base) == {}
    assert preset("fast").differences(preset("paper")) == {
        "preset": "fast",
        "input.size": 128,
        "model.channels": 24,
        "model.blocks": 1,
        "model.inception": "dilated",
        "fit.steps": 25,
    }


def test_the_papers_settings():
    config = preset("paper")
    assert hyperparameters(config).weight_ce == 1.2
    assert (config.loss.weight_affine, config.loss.weight_spatial) == (0.3, 0.3)
    assert (config.fit.learning_rate, config.fit.momentum, config.fit.steps) == (0.36, 0.9, 50)
    for name in ("paper", "paper-lung"):
        model = preset(name).model
        assert (model.inception, model.local_kernels) == ("local", (1, 3, 5))
    for name in ("released", "best", "fast"):
        assert preset(name).model.inception == "dilated"
    lung = preset("paper-lung").loss
    assert (lung.weight_ce, lung.weight_affine, lung.weight_spatial) == (1, 0.5, 0.6)


def test_overrides_are_read_as_typed_on_a_command_line():
    items = ["fit.steps=20", "model.kernel_sizes=7", "model.dilations=(3)", "loss.weight_ce=2"]
    items += ["loss.affine.rotation=-5,5", "segment.fill_holes=no", "model.deform=free"]
    config = Config().replace(**parse_overrides(items))
    assert config.fit.steps == 20
    assert config.model.kernel_sizes == (7,)
    assert config.model.dilations == (3,)
    assert config.loss.weight_ce == 2
    assert config.loss.affine.rotation == (-5, 5)
    assert config.segment.fill_holes is False
    assert config.model.deform == "free"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("fit.stepz=3", "fit.steps"),
        ("fitt.steps=3", "Did you mean fit"),
        ("fit.steps=many", "expected int"),
        ("fit.steps=2.5", "expected int"),
        ("fit.steps=inf", "expected int"),
        ("loss.weight_ce=nan", "expected float"),
        ("loss.affine.rotation=-inf,5", "expected float"),
        ("fit=3", "is a section"),
        ("fit.steps", "section.field=value"),
        ("model.deform=bent", "can't be 'bent'"),
        ("model.local_kernel=4", "must be odd"),
        ("loss.affine.rotation=5,-5", "its lower limit first"),
        ("loss.affine.rotation=5", "expected tuple"),
        ("segment.fill_holes=maybe", "expected bool"),
        ("model.kernel_sizes=3,5", "each branch needs one of both"),
        ("model.inception=locl", "Did you mean local"),
    ],
)
def test_mistakes_are_named(item, message):
    with pytest.raises(ConfigError, match=message):
        Config().replace(**parse_overrides([item]))


def test_an_unknown_preset_names_the_near_ones():
    with pytest.raises(ConfigError, match="paper"):
        preset("papr")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Config(fit={"steps": 2}), "'fit' is a section, not a dict"),  # pyright: ignore
        (lambda: Config(fit=FitConfig(steps="3")), "fit.steps can't be '3'"),  # pyright: ignore
        (lambda: Config(fit=FitConfig(steps=3.0)), "fit.steps can't be 3.0"),  # pyright: ignore
        (lambda: Config(model=ModelConfig(dilations=[1])), "expected tuple"),  # pyright: ignore
        (lambda: Config().replace(steps=3), "Did you mean fit.steps"),
    ],
)
def test_mistakes_in_python_are_named(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_only_what_decides_the_result_enters_the_hash():
    config = preset("paper")
    assert config.replace(preset="foreign").digest == config.digest
    assert config.replace(fit={"steps": 49}).digest != config.digest


def test_a_later_field_enters_the_hash_only_if_it_is_changed():
    """The digests of published presets are pinned in `test_published.py`."""
    default = Config()
    for model in ({"inception": "local"}, {"local_kernels": (3, 3, 3)}):
        changed = default.replace(model=model)
        assert changed.digest != default.digest
        back = {name: getattr(default.model, name) for name in model}
        assert changed.replace(model=back).digest == default.digest
    assert default.to_dict()["model"]["inception"] == "dilated", "it is shown all the same"


def test_dynamic_numbers_share_a_program():
    config = preset("paper")
    other = config.replace(loss={"weight_ce": 2}, fit={"learning_rate": 0.1, "momentum": 0.5})
    assert static_config(other) == static_config(config)
    assert static_config(config.replace(fit={"steps": 3})) != static_config(config)
