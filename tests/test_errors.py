"""Errors in one room, exported where they are documented."""

from __future__ import annotations

import ast
from importlib import metadata
from pathlib import Path

import pytest

import s3net_jax as s3
from s3net_jax import errors, version

PACKAGE = Path(s3.__file__).parent
_ENDINGS = ("Error", "Exception")


def test_every_error_class_is_defined_in_one_module():
    elsewhere = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(b, ast.Name) and b.id.endswith(("Error", "Exception")) for b in node.bases
        )
    ]
    assert elsewhere == []


@pytest.mark.parametrize("name", ["ConfigError", "DivergedError", "InputError", "OutputError"])
def test_documented_errors_are_exported(name):
    assert getattr(s3, name) is getattr(errors, name) and name in s3.__all__


def test_the_public_face_lists_its_names_only():
    assert set(dir(s3)) == set(s3.__all__)
    assert all(hasattr(s3, name) for name in s3.__all__)


def test_near_names_are_proposed():
    assert errors.suggest_nearest("relased", ["released", "best"]) == " Did you mean released?"
    assert errors.suggest_nearest("xyz", ["released", "best"]) == " Known: released, best."
    fields = ["loss.affine.rotation", "loss.spatial", "fit.steps"]
    assert errors.suggest_nearest("loss.rotation", fields) == " Did you mean loss.affine.rotation?"


def test_the_version_is_that_of_the_installed_metadata(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: {"s3net-jax": "1.2.3"}[name])
    assert version.get_package_version() == "1.2.3"

    def fail(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", fail)
    assert version.get_package_version() == "0+unknown"
