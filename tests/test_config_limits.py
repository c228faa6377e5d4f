"""Where the values of a configuration end, to the last one that is taken; and how they are read."""

from __future__ import annotations

from typing import Any

import pytest

import s3net_jax as s3
from s3net_jax.config import Config, ConfigError, check_config, parse_overrides
from s3net_jax.presets import PRESETS, preset

# Field, the values at its limits that are taken, those beyond that are refused.
LIMITS: list[tuple[str, list[Any], list[Any]]] = [
    ("input.size", [16, 4096], [15, 4097, 0, -16]),
    ("input.tile", [0, 32, 33], [31, 1, -1, -32]),
    ("input.overlap", [0.05, 0.5], [0.049, 0.501, 0, 1]),
    ("model.channels", [2, 1024], [1, 1025, 0]),
    ("model.blocks", [1, 2], [0, -1]),
    ("model.local_kernel", [1, 3], [-1, 0, 2]),
    ("model.local_kernels", [(1, 1, 1), (9, 3, 1), (3,)], [(1, 1, -1), (1, 2, 1), (0, 1, 1)]),
    ("model.deform_kernel", [1, 3], [-3, 0, 4]),
    ("model.kernel_sizes", [(1, 1, 1), (9, 3, 1)], [(1, 1, -1), (1, 2, 1), (0, 1, 1), (3, 5), ()]),
    ("model.dilations", [(1, 1, 1), (4, 1, 9)], [(1, 1, 0), (-1, 1, 1), (1, 2), (1, 1, 1, 1)]),
    ("fit.steps", [1, 2], [0, -1]),
    ("fit.members", [1, 256], [0, 257]),
    ("fit.slices", [1, 256], [0, 257]),
    ("fit.momentum", [0, 0.999], [1, 1.5, -0.001]),
    ("fit.learning_rate", [1e-9, 2], [0, -0.1]),
    ("fit.stop_after", [2**31 - 1, -(2**31) + 1], [2**31, -(2**31), 10**20]),
    ("loss.affine.rotation", [(5, 5), (-5, 5), (0, 360)], [(5, 4.9), (5, 5, 5), ()]),
    ("loss.affine.translation", [(0.1, 0.1), (-1, 1)], [(0.1, 0), (0.1,)]),
    ("loss.affine.scale", [(0.01, 0.01), (1, 1)], [(0, 1), (-1, 1), (1, 0.9)]),
    ("fit.offset_rate", [0, 0.1, 10], [-0.1, 10.1]),
    ("loss.edge_scale", [1e-3, 1], [0, -0.1]),
    ("segment.boundary_reach", [0, 0.4, 10], [-0.1, 10.1]),
    ("loss.affine.shear", [(-79.9, 79.9), (0, 0)], [(-80, 0), (0, 80), (-100, 100), (1, 0)]),
    ("segment.boundary_level", [0.01, 0.99], [0, 1, -0.5, 1.5]),
    ("segment.boundary_colors", [(0, 0, 0.1), (1, 1, 1)], [(0, 0, 0), (1, -0.1, 1), (1, 1)]),
    ("segment.min_island", [0, 0.99], [1, -0.01]),
]


def change(config: Config, field: str, value: Any) -> Config:
    *path, leaf = field.split(".")
    changes = {leaf: value}
    for part in reversed(path):
        changes = {part: changes}
    return config.replace(**changes)


def read(config: Any, field: str) -> Any:
    for part in field.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize(("field", "taken", "refused"), LIMITS, ids=[row[0] for row in LIMITS])
def test_limits(field: str, taken: list[Any], refused: list[Any]) -> None:
    for value in taken:
        assert read(change(Config(), field, value), field) == value
    name = "kernel" if "kernel" in field else field
    for value in refused:
        with pytest.raises(ConfigError, match=name) as caught:
            change(Config(), field, value)
        assert str(caught.value).endswith(".")


def test_a_network_has_a_branch() -> None:
    with pytest.raises(ConfigError, match="each branch needs one of both"):
        Config().replace(model={"kernel_sizes": (), "dilations": ()})


def test_each_branch_has_a_local_kernel_if_it_needs_one() -> None:
    two: dict[str, Any] = {"kernel_sizes": (3, 5), "dilations": (1, 2)}
    assert Config().replace(model=two).model.local_kernels == (1, 3, 5)
    with pytest.raises(ConfigError, match=r"local_kernels has 3 entries and model\.kernel_sizes 2"):
        Config().replace(model={"inception": "local", **two})
    own = {"inception": "local", "local_kernels": (3, 5), **two}
    assert Config().replace(model=own).model.local_kernels == (3, 5)


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("No", False)],
)
def test_words_for_yes_and_no(word: str, value: bool) -> None:
    for start in (True, False):
        config = Config().replace(segment={"fill_holes": start})
        assert config.replace(segment={"fill_holes": word}).segment.fill_holes is value
        assert config.replace(segment={"fill_holes": int(value)}).segment.fill_holes is value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fit.steps", True),
        ("fit.learning_rate", True),
        ("fit.steps", 2.5),
        ("fit.steps", None),
        ("fit.learning_rate", float("inf")),
        ("loss.affine.rotation", 3),
        ("loss.affine.rotation", (True, 2)),
        ("segment.fill_holes", 2),
        ("segment.fill_holes", None),
    ],
)
def test_values_of_another_kind_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{field} can't be .*: expected"):
        change(Config(), field, value)


def test_values_are_converted_to_the_kind_of_their_field() -> None:
    config = Config().replace(
        fit={"steps": 20.0, "learning_rate": "1"},
        model={"kernel_sizes": "[3, 5]", "dilations": "(1,2)"},
        loss={"affine": {"scale": ["1", 2]}},
        segment={"target": "dark"},
    )
    found = config.fit.steps, config.fit.learning_rate, config.loss.affine.scale
    assert found == (20, 1.0, (1.0, 2.0))
    assert [type(value) for value in (*found[:2], *found[2])] == [int, float, float, float]
    assert (config.model.kernel_sizes, config.model.dilations) == ((3, 5), (1, 2))
    assert config.segment.target == "dark"


def test_a_section_may_be_replaced_as_a_whole_or_field_by_field() -> None:
    model = s3.ModelConfig(channels=7)
    config = Config().replace(model=model, fit={"steps": 3})
    assert config.model is model
    assert config.fit == s3.FitConfig(steps=3)
    assert config.loss == s3.LossConfig()
    with pytest.raises(ConfigError, match=r"'model' is a section: set its fields"):
        Config().replace(model=s3.FitConfig())


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["fit.steps=3", "fit.steps.x=4"], r"'fit\.steps\.x=4' sets a field inside a field"),
        (["fit.steps=3", "fit=4"], r"'fit=4' replaces a whole section"),
        (["=3"], r"Can't read the setting '=3'"),
        (["  = 3"], r"Can't read the setting"),
        (["fit.steps"], r"Can't read the setting 'fit\.steps'"),
    ],
)
def test_settings_that_contradict_each_other_or_are_none(items: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_overrides(items)


def test_settings_make_a_tree_and_the_last_one_counts() -> None:
    items = [" fit.steps = 3 ", "fit.momentum=0.5", "fit.steps=4", "segment.target=point:1,2=3"]
    assert parse_overrides(items) == {
        "fit": {"steps": "4", "momentum": "0.5"},
        "segment": {"target": "point:1,2=3"},
    }


def test_fields_that_do_not_exist_name_those_meant() -> None:
    with pytest.raises(ConfigError, match=r"no field 'channels'.* Did you mean model\.channels\?"):
        Config().replace(channels=3)
    with pytest.raises(
        ConfigError, match=r"no field 'loss\.rotation' .* Did you mean loss\.affine"
    ):
        Config().replace(loss={"rotation": (0, 1)})
    with pytest.raises(ConfigError, match=r"no field 'fit\.step'.* Did you mean fit\.steps"):
        Config().replace(fit={"step": 1})


def test_no_hash_depends_on_what_is_recorded_or_called_and_each_on_anything_else() -> None:
    config = Config()
    same = config.replace(preset="foreign", fit={"record_labels": True})
    assert same.digest == config.digest
    assert len(config.digest) == 16
    others = [change(config, field, taken[-1]).digest for field, taken, _ in LIMITS]
    changed = [
        d for (field, t, _), d in zip(LIMITS, others, strict=True) if read(config, field) != t[-1]
    ]
    assert config.digest not in changed
    assert len(set(changed)) == len(changed)


def test_what_is_no_configuration_is_named_with_what_to_write() -> None:
    config = Config()
    assert check_config(config) is config
    with pytest.raises(
        TypeError, match=r"config is 'fast', .* such as s3net_jax\.preset\('fast'\)"
    ):
        check_config("fast")
    with pytest.raises(TypeError, match=r"config is a dict, .* s3net_jax\.preset\('best'\)"):
        check_config({})


def test_what_is_no_name_of_a_preset() -> None:
    with pytest.raises(TypeError, match=r"preset is a Config, .* expected: pass it as config=\.$"):
        preset(Config())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"preset is a int, where a name is expected\.$"):
        preset(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"no preset 'relased'.* Did you mean released"):
        preset("relased")


def test_presets_differ_from_each_other() -> None:
    assert len({preset(name).digest for name in PRESETS}) == len(PRESETS)
