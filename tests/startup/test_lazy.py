"""Packages that load the modules behind their names when these are first used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

import pytest

from wasmoci._startup import lazy

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = [
    *("wasmoci", "wasmoci.compiled", "wasmoci.dispatch", "wasmoci.host", "wasmoci.image", "wasmoci.integration"),
    *("wasmoci.native", "wasmoci.oci", "wasmoci.testing", "wasmoci.wasi", "wasmoci.wasm"),
]


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_the_same(name: str) -> None:
    """The names that are imported for type checkers are those that are loaded, from the same modules; and none is a module's."""
    package: ModuleType = importlib.import_module(name)
    tree = ast.parse(inspect.getsource(package))
    imported = {
        alias.asname or alias.name: node.module.removeprefix(f"{name}.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{name}.")
        for alias in node.names
        if not node.module.startswith("wasmoci._startup")
    }
    (literal,) = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    modules: dict[str, tuple[str, ...]] = ast.literal_eval(literal)
    assert {public: module for module, names in modules.items() for public in names} == imported
    assert sorted(imported) == package.__all__
    assert {module.name for module in pkgutil.iter_modules(package.__path__)}.isdisjoint(imported)
    for public in imported:
        assert getattr(package, public) is not None
        assert public in dir(package)


def test_unknown_name() -> None:
    """What no module defines is an AttributeError, as for any module."""
    found, _, names = lazy.attach("wasmoci.host", {"removal": ("remove_tree",)})
    assert names == ["remove_tree"]
    with pytest.raises(AttributeError, match=r"module 'wasmoci\.host' has no attribute 'nothing'"):
        found("nothing")
