"""Convert parameters from and to the state dict of the authors' PyTorch model.

PyTorch stores kernels as (out, in, kh, kw) and maps as (N, C, H, W). Here kernels are
(kh, kw, in, out), depthwise kernels (kh, kw, C), 1×1 kernels (in, out), and maps (N, H, W, C).
Both interleave offsets as (dy, dx) per tap, row-major. Running statistics of batch
normalisation are omitted, because S3-Net always uses the image's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["from_torch", "to_torch"]

_Convert = Callable[[np.ndarray], np.ndarray]


def _convert_dense(a: np.ndarray) -> np.ndarray:
    return a.transpose(2, 3, 1, 0)


def _restore_dense(a: np.ndarray) -> np.ndarray:
    return a.transpose(3, 2, 0, 1)


def _convert_depthwise(a: np.ndarray) -> np.ndarray:
    return a[:, 0].transpose(1, 2, 0)


def _restore_depthwise(a: np.ndarray) -> np.ndarray:
    return a.transpose(2, 0, 1)[:, None]


def _convert_pointwise(a: np.ndarray) -> np.ndarray:
    return a[:, :, 0, 0].T


def _restore_pointwise(a: np.ndarray) -> np.ndarray:
    return a.T[:, :, None, None]


def _convert_linear(a: np.ndarray) -> np.ndarray:
    return a.T


def _convert_maps(a: np.ndarray) -> np.ndarray:
    return a.transpose(0, 2, 3, 1)


def _restore_maps(a: np.ndarray) -> np.ndarray:
    return a.transpose(0, 3, 1, 2)


def _keep(a: np.ndarray) -> np.ndarray:
    return a


# (PyTorch module, our module, weight conversion, inverse conversion); {i}, {r} are indices.
_Module = tuple[str, str, _Convert, _Convert]
_MODULES: list[_Module] = [
    ("conv1", "stem", _convert_dense, _restore_dense),
    ("bn1", "stem_norm", _keep, _keep),
    ("conv2.{i}.proj_1x1_1", "blocks.{i}.project_in", _convert_pointwise, _restore_pointwise),
    (
        "conv2.{i}.spatial_gating.conv0",
        "blocks.{i}.attention.local",
        _convert_depthwise,
        _restore_depthwise,
    ),
    (  # Named as in benchmarks/torch_reference: the released code has no such layers.
        "conv2.{i}.spatial_gating.conv0.{r}",
        "blocks.{i}.attention.local.{r}",
        _convert_depthwise,
        _restore_depthwise,
    ),
    (
        "conv2.{i}.spatial_gating.spatial_convs.{r}",
        "blocks.{i}.attention.branches.{r}",
        _convert_depthwise,
        _restore_depthwise,
    ),
    (
        "conv2.{i}.spatial_gating.conv1",
        "blocks.{i}.attention.mix",
        _convert_pointwise,
        _restore_pointwise,
    ),
    ("conv2.{i}.proj_1x1_2", "blocks.{i}.project_out", _convert_pointwise, _restore_pointwise),
    ("conv2.{i}", "blocks.{i}", _convert_dense, _restore_dense),
    ("bn2.{i}", "block_norms.{i}", _keep, _keep),
    ("convdeform.predict", "deform.predict", _convert_dense, _restore_dense),
    ("convdeform", "deform", _convert_dense, _restore_dense),
    ("bn3", "deform_norm", _keep, _keep),
    ("conv3", "head", _convert_pointwise, _restore_pointwise),
    ("bn4", "head_norm", _keep, _keep),
    ("conv_aux", "auxiliary", _convert_pointwise, _restore_pointwise),
    ("bn_aux", "auxiliary_norm", _keep, _keep),
    ("map", "color.map", _convert_linear, _convert_linear),
    ("cf", "color.head", _convert_pointwise, _restore_pointwise),
    ("bf", "color.norm", _keep, _keep),
]
# PyTorch's shape for each layout: letters are sizes, numbers are fixed.
_LAYOUTS: dict[_Convert, tuple[str | int, ...]] = {
    _convert_dense: ("out", "in", "kh", "kw"),
    _convert_depthwise: ("C", 1, "kh", "kw"),
    _convert_pointwise: ("out", "in", 1, 1),
    _convert_linear: ("out", "in"),
    _convert_maps: (1, "C", "H", "W"),
    _keep: ("C",),
}
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")
_FREE, _DEFORM = ("offset", "mask"), "convdeform"


def _compile_pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{r\}", r"(?P<r>\d+)")
    return re.compile(text + "$")


def from_torch(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the authors' PyTorch state dict to parameters of :class:`s3net_jax.nn.S3Net`.

    Pass the result to ``fit(..., params=...)``, or load it into a module:
    ``nnx.update(model, nnx.State(from_torch(state_dict)))``.

    Args:
      state_dict: names mapped to tensors or arrays: ``model.state_dict()`` of the released code,
        of this project's PyTorch reference, or of a subset of their modules.

    Returns:
      Nested dict of NumPy arrays that share no memory with the tensors. Dtypes are kept, except
      that bfloat16 becomes float32.

    Raises:
      ValueError: a name that belongs to no module of S3-Net, or a shape that no such parameter
        has. Missing parameters are reported by ``fit``, which knows what a network needs.
      TypeError: not a state dict.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"from_torch expects a state dict, not a {type(state_dict).__name__}: pass "
            "model.state_dict(), or torch.load(path) for a saved one."
        )
    tree: dict[str, Any] = {}
    for name, value in state_dict.items():
        module, _, leaf = name.rpartition(".")
        if leaf in _RUNNING:
            continue
        found = _find(module, by=0)
        if found is None or leaf not in ("weight", "bias", *(_FREE if module == _DEFORM else ())):
            raise ValueError(
                f"The state dict has {name!r}, which is no parameter of S3-Net: pass the "
                "model's own state dict, without wrapper prefixes such as 'module.'."
            )
        (_, our_name, convert, _), indices = found
        array = _to_numpy(name, value)
        change = _convert_maps if leaf in _FREE else convert if leaf == "weight" else _keep
        _check_layout(name, array.shape, _LAYOUTS[change])
        array = change(array)
        normalisation = convert is _keep
        ours = {"weight": "scale" if normalisation else "kernel"}.get(leaf, leaf)
        node: dict[Any, Any] = tree
        for part in our_name.format(**indices).split("."):
            node = node.setdefault(int(part) if part.isdigit() else part, {})
        # Always copy: a view would change with the PyTorch model's next step.
        node[ours] = np.array(array, order="C")
    return tree


def _to_numpy(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"The state dict's {name!r} must hold numbers, got {array.dtype}.")
    return array


def _check_layout(name: str, shape: tuple[int, ...], layout: tuple[str | int, ...]) -> None:
    fits = len(shape) == len(layout) and all(
        isinstance(side, str) or side == given for side, given in zip(layout, shape, strict=True)
    )
    if not fits:
        sides = ", ".join(map(str, layout)) + ("," if len(layout) == 1 else "")
        raise ValueError(f"The state dict's {name!r} has the shape {shape}; it must be ({sides}).")


def to_torch(params: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """Convert parameters to PyTorch's names and layouts, the inverse of :func:`from_torch`.

    Args:
      params: nested dict or ``nnx.State`` of S3Net's parameters, or of their gradients.

    Returns:
      Names mapped to NumPy arrays that share no memory with ``params``. Apply
      ``torch.as_tensor`` to each for ``load_state_dict(strict=False)``; running statistics are
      not included.

    Raises:
      ValueError: a name without a counterpart.
      TypeError: neither a dict nor a state.
    """
    if not hasattr(params, "items"):
        raise TypeError(
            f"to_torch expects parameters, not a {type(params).__name__}: pass nnx.state(model, "
            "nnx.Param) of a module, or the params of a fit's result."
        )
    flat: dict[str, np.ndarray] = {}

    def walk(node: Any, path: tuple[str, ...]) -> None:
        if hasattr(node, "items"):
            for name, child in node.items():
                walk(child, (*path, str(name)))
            return
        *module, leaf = path
        value = node[...] if hasattr(node, "get_value") else node
        name, array = _to_torch(".".join(module), leaf, value)
        flat[name] = array

    walk(params, ())
    return flat


def _find(module: str, by: int) -> tuple[_Module, dict[str, str]] | None:
    """Find the entry named ``module`` by PyTorch (``by`` 0) or here (1), and its indices."""
    for entry in _MODULES:
        template = entry[0] if by == 0 else entry[1]
        match = _compile_pattern(template).match(module)
        if match:
            return entry, match.groupdict()
    return None


def _to_torch(module: str, leaf: str, value: Any) -> tuple[str, np.ndarray]:
    found = _find(module, by=1)
    if found is None:
        raise ValueError(f"{module!r} is no module of S3-Net with a PyTorch counterpart.")
    (torch_name, _, _, back), indices = found
    # Always copy: the transposes below are views, and writing to one must not reach the source.
    array = np.array(value)
    if leaf in _FREE:
        array = _restore_maps(array)
    elif leaf == "kernel":
        array = back(array)
    weight = {"kernel": "weight", "scale": "weight"}.get(leaf, leaf)
    return f"{torch_name.format(**indices)}.{weight}", array
