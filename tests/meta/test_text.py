"""The text of the project: what may stand where, and that everything public says what it does."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import actors
import hw
from actors.kernel.catalogue import piece_names

ROOT = Path(__file__).parents[2]
PACKAGES = [Path(package.__file__ or "").parent for package in (actors, hw)]
MODULES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]
KERNEL = PACKAGES[0] / "kernel"
WHERE_VERSIONS_LIVE = {"composition.py", "catalogue.py", "generations.py"}
KERNEL_TEXT = [
    path
    for path in sorted(KERNEL.rglob("*.py"))
    if path.name not in WHERE_VERSIONS_LIVE and path.parent.name != "pieces"
]
VERSION = re.compile(r"\bv?[2-6]\.\d{1,2}(\.\d+)?\b(?!\s*(GiB|MiB|KiB|s|ms|us|µs|%))")
LONGEST_FUNCTION = 60
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

Documentable = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    """A path as it stands in the test's name."""
    return str(path.relative_to(PACKAGES[0].parent))


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed module."""
    return ast.parse(path.read_text())


@pytest.mark.parametrize("path", KERNEL_TEXT, ids=lambda path: path.stem)
def test_kernel_text_names_no_defect_and_no_version(path: Path) -> None:
    text = path.read_text()
    assert [slug for slug in piece_names() if slug in text] == []
    assert [match[0] for match in VERSION.finditer(text)] == []


# -- docstrings --------------------------------------------------------------------------------


def public(
    node: ast.AST, place: str, inside: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Documentable]]:
    """Everything public in a module, with its place.

    Left out: what is inside functions; a method that changes one of a base class in the same place
    (its own words stand there); the nested classes of a piece, whose title says what they change.
    """
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if child.name.startswith("_"):
            continue
        yield f"{place}:{child.name}", child
        if isinstance(child, ast.ClassDef) and not is_piece(child):
            yield from public(child, f"{place}:{child.name}")


def is_piece(node: ast.ClassDef) -> bool:
    """Whether a class is a piece of a kernel: it has a title instead."""
    return node.name in {piece.__name__ for piece in piece_names().values()}


@cache
def documented_methods() -> frozenset[str]:
    """Names of methods that a base class of the project documents."""
    names = set()
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                names |= {f.name for f in node.body if isinstance(f, FUNCTION) and ast.get_docstring(f)}
    return frozenset(names)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = tree_of(path)
    bare_package = path.name == "__init__.py" and not tree.body
    assert bare_package or ast.get_docstring(tree), path
    missing = [
        place
        for place, node in public(tree, path.stem)
        if not ast.get_docstring(node)
        and not (isinstance(node, ast.ClassDef) and is_piece(node))
        and not (isinstance(node, FUNCTION) and place.count(":") > 1 and node.name in documented_methods())
    ]
    assert missing == []


@pytest.mark.parametrize("slug", piece_names())
def test_every_piece_tells_its_story(slug: str) -> None:
    piece = piece_names()[slug]
    told = ["title", "commit", "versions", "symptom", "trigger", "invariants"] if piece.defect else ["title"]
    assert [field for field in told if not getattr(piece, field)] == []


# -- size and place ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_function_is_long(path: Path) -> None:
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(tree_of(path))
        if isinstance(node, FUNCTION) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def project_files() -> list[Path]:
    """The files of the project: those that git knows or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_path_of_one_machine_stands_anywhere() -> None:
    machine_path = re.compile(rb"(?<![\w.~}-])/(root|home|work|Users)/\w")
    places = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in project_files()
        for match in machine_path.finditer(path.read_bytes())
    ]
    assert places == []
