"""Griffe extension: show Sphinx roles in docstrings as code, linked where a page documents them."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["PlainRoles"]

_ROLE = re.compile(r":(?:py:)?(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")

_SHADOWED = {
    "s3net_jax.consensus": "s3net_jax.masks.consensus.consensus",
    "s3net_jax.fit": "s3net_jax.fitting.fit.fit",
}
"""Exported functions whose module has the same name, which the pages therefore name in full."""


class PlainRoles(griffe.Extension):
    """Replace ``:func:`s3net_jax.fit` `` by code that links to ``fit``, if the site has it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)


def _link(match: re.Match[str]) -> str:
    package, _, name = match[1].rpartition(".")
    # Docstrings name the module that defines a function, the pages the package that exports it.
    root = package.partition(".")[0] or "s3net_jax"
    identifier = _SHADOWED.get(f"{root}.{name}", f"{root}.{name}")
    # "optional": a name that no page documents stays plain code, without a warning.
    return f'<autoref optional identifier="{identifier}"><code>{name}</code></autoref>'
