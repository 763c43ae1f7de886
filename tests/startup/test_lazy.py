"""Packages that load the modules behind their names when these are first used."""

from __future__ import annotations

import ast
import importlib
import inspect
from typing import TYPE_CHECKING

import pytest

from wasmoci._startup import lazy

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = ("wasmoci", "wasmoci.dispatch", "wasmoci.image", "wasmoci.integration", "wasmoci.native", "wasmoci.wasi")


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_the_same(name: str) -> None:
    """The names that are imported for type checkers are those that are loaded, from the same modules."""
    package: ModuleType = importlib.import_module(name)
    imports = {
        alias.asname or alias.name: node.module
        for node in ast.walk(ast.parse(inspect.getsource(package)))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{name}.")
        for alias in node.names
        if not node.module.startswith("wasmoci._startup")
    }
    assert sorted(imports) == package.__all__
    for public, module in imports.items():
        assert getattr(package, public) is getattr(importlib.import_module(module or ""), public)
        assert public in dir(package)


def test_unknown_name() -> None:
    """What no module defines is an AttributeError, as for any module."""
    found, _, names = lazy.attach("wasmoci.host", {"removal": ("remove_tree",)})
    assert names == ["remove_tree"]
    with pytest.raises(AttributeError, match=r"module 'wasmoci\.host' has no attribute 'nothing'"):
        found("nothing")
