"""`hw` knows nothing of what is built on it, and nothing in it depends on chance."""

import ast
from pathlib import Path

import pytest

import hw

MODULES = sorted(Path(hw.__file__).parent.glob("*.py"))
ALLOWED = {"__future__", "collections", "dataclasses", "enum", "hw", "numpy", "types", "typing"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_and_calls(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in ALLOWED
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"id", "hash"}


def test_public_names_exist_and_are_documented() -> None:
    for name in hw.__all__:
        assert hasattr(hw, name)
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
