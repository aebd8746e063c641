"""How true the emulator is: recorded vectors replayed, and what the code says it leaves out."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from actors.execute.conform import conform
from actors.program import load_vectors
from docs.generate.kernels import pieces
from docs.generate.tables import code, table

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "conformance" / "vectors"
LABEL = re.compile(r"\b(?:Simplified|Left out|Kernel|Context|Invariants that live here):")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def conformance(_: str) -> str:
    """Each recorded file on the kernel that it was recorded from."""
    files = sorted(VECTORS.glob("*.json"))
    counts = [conformance_of(path) for path in files]
    lines = [
        (code(path.stem), code(load_vectors(str(path)).generation), *shown(each))
        for path, each in zip(files, counts, strict=True)
    ]
    total = tuple(map(sum, zip(*counts, strict=True)))
    head = ("file", "kernel", ">vectors passed", ">steps passed", ">danger, run only")
    return table(head, [*lines, ("all", "", *shown(total))])


def shown(numbers: tuple[int, ...]) -> tuple[str, str, str]:
    """Counts as they stand in the table."""
    vectors, passed, steps, steps_passed, danger = numbers
    return f"{passed:,} of {vectors:,}", f"{steps_passed:,} of {steps:,}", f"{danger:,}"


@cache
def conformance_of(path: Path) -> tuple[int, ...]:
    """Vectors, vectors passed, steps, steps passed, danger vectors of a file."""
    file = load_vectors(str(path))
    results = list(conform(file, file.generation))
    scored = [result for result in results if result.tag != "danger"]
    passed = sum(not result.failures for result in scored)
    steps, steps_passed = (sum(getattr(r, of) for r in scored) for of in ("steps", "passed"))
    return len(scored), passed, steps, steps_passed, len(results) - len(scored)


def remedies(_: str) -> str:
    """What ``fixed`` does instead of each defect."""
    rows = ((code(piece.slug), piece.number, piece.title, piece.remedy) for piece in pieces(True))
    return table(("defect", ">G", "what goes wrong", "what `fixed` does"), rows)


def findings(_: str) -> str:
    """Defects that nobody seems to have described."""
    rows = (
        (
            code(piece.slug),
            piece.title,
            piece.trigger,
            piece.symptom,
            piece.remedy,
            ", ".join(piece.invariants),
        )
        for piece in pieces(True)
        if not piece.number
    )
    return table(("", "what is wrong", "trigger", "what shows", "what `fixed` does", "caught by"), rows)


def marked(word: str) -> str:
    """Every sentence of the code that begins with ``word``, by module."""
    rows = (
        (code(path.relative_to(ROOT)), code(place), said)
        for package in ("hw", "actors")
        for path in sorted((ROOT / package).rglob("*.py"))
        for place, said in sentences(path, f"{word}:")
    )
    return table(("module", "at", "what"), rows)


def sentences(path: Path, word: str) -> Iterator[tuple[str, str]]:
    """Place and text of what a module says after ``word``, in docstrings and in comments."""
    source = path.read_text()
    if word not in source:
        return
    for name, text in [*docstrings(source), *comments(path)]:
        for paragraph in re.split(r"\n\s*\n", text):
            _, found, said = paragraph.partition(word)
            if found:
                yield name, sentence(said)


def sentence(said: str) -> str:
    """What is said up to the next label, as Markdown."""
    text = " ".join(LABEL.split(said)[0].split()).replace("``", "`")
    return text[:1].upper() + text[1:]


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Every docstring of a module, with the name of what it documents."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED):
            yield getattr(node, "name", ""), ast.get_docstring(node) or ""


def comments(path: Path) -> Iterator[tuple[str, str]]:
    """Every comment, lines that follow each other joined, with its line number."""
    block: list[str] = []
    begin = last = 0
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT:
                continue
            if token.start[0] != last + 1 and block:
                yield f"line {begin}", "\n".join(block)
                block = []
            begin = begin if block else token.start[0]
            last = token.start[0]
            block.append(token.string.lstrip("# "))
    if block:
        yield f"line {begin}", "\n".join(block)
