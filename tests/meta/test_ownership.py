"""What an actor owns only that actor reads and changes.

Outside the runtime an actor is known by its id, and reached by messages. Two checks hold the kernel
text to that, one on the text and one on runs, since neither sees everything:

- *Text.* The only ways to an actor object are the directory of actors and the making of one. So no
  module of the kernel names the directory; no variable, parameter, field or result is declared to be
  an actor (mypy, strict, lets no untyped way stay open but ``Any``); and a newly made actor belongs to
  the function that makes it, which gives nothing but its id away.
- *Runs.* Vectors are replayed with every attribute access on an actor watched: code of the kernel
  may touch an actor only in a function whose ``self`` is that actor, or which is making it, or to read
  its id, name or kind. This closes the hole that ``Any`` leaves.

Observers (oracles, executors, the machine's own edge) look from outside and are not bound.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import actors.kernel
from actors.execute.conform import replay
from actors.kernel.composition import PARTS
from actors.program import load_vectors
from actors.runtime.actor import Actor

KERNEL = Path(actors.kernel.__file__).parent
COMPOSING = {"composition.py", "catalogue.py", "generations.py"}
TEXT = [path for path in sorted(KERNEL.rglob("*.py")) if path.name not in COMPOSING]
IDENTITY = {"id", "name", "kind", "__class__", "__dict__"}
ACTOR_CLASSES = {"Actor"} | {
    base.__name__ for part in PARTS.values() for base in part.__mro__ if issubclass(base, Actor)
}
MAKERS = {*PARTS, "new_mm"}
MAY_RETURN_AN_ACTOR = {"new_mm"}
VECTORS = Path(__file__).parents[1] / "conformance" / "vectors"


def directory_uses(tree: ast.Module) -> Iterator[str]:
    """Every mention of the directory of actors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"actors", "adopt"}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def declared_actors(tree: ast.Module) -> Iterator[str]:
    """Every annotation that declares something to be an actor; a class, ``type[Mm]``, is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            annotation = node.annotation
        elif (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in MAY_RETURN_AN_ACTOR
        ):
            annotation = node.returns
        else:
            continue
        if annotation is not None and names_in(annotation) & ACTOR_CLASSES:
            yield f"line {node.lineno}: {ast.unparse(annotation)}"


def names_in(annotation: ast.expr) -> set[str]:
    """Names that an annotation mentions, strings read as annotations, ``type[...]`` left out."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "type":
        return set()
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return names_in(ast.parse(annotation.value, mode="eval").body)
    own = {annotation.id} if isinstance(annotation, ast.Name) else set()
    return own.union(
        *(names_in(n) for n in ast.iter_child_nodes(annotation) if isinstance(n, ast.expr)), set()
    )


def newborns_given_away(tree: ast.Module) -> Iterator[str]:
    """Every newly made actor that is more than ``.id`` of it to anybody but its maker."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS
        ):
            continue
        parent = parents[node]
        bound = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name)
        taken = isinstance(parent, ast.Attribute) and parent.attr == "id"
        if not (bound or taken or function_of(node, parents) in MAY_RETURN_AN_ACTOR):
            yield f"line {node.lineno}: {ast.unparse(parent)}"


def function_of(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """Name of the function that a node stands in."""
    while node in parents and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = parents[node]
    return getattr(node, "name", "")


@pytest.mark.parametrize("path", TEXT, ids=lambda path: str(path.relative_to(KERNEL)))
@pytest.mark.parametrize("rule", [directory_uses, declared_actors, newborns_given_away])
def test_text(rule: Any, path: Path) -> None:
    assert list(rule(ast.parse(path.read_text()))) == []


def test_the_rules_see_what_they_forbid() -> None:
    bad = ast.parse(
        "async def f(self, mm: Mm) -> 'list[Group]':\n"
        "    self.core.actors[mm].used += 1\n"
        "    self.mms.append(self.world.kernel.mm(self.world, ''))\n"
    )
    assert [len(list(rule(bad))) for rule in (directory_uses, declared_actors, newborns_given_away)] == [
        1,
        2,
        1,
    ]


# -- runs --------------------------------------------------------------------------------------


def owner_of(frame: FrameType) -> object:
    """The object whose method runs."""
    return frame.f_locals.get("self")


def is_primitive(actor: object) -> bool:
    """Whether an actor is the runtime's own: RCU is used as a lock is."""
    return type(actor).__module__.startswith("actors.runtime")


class Watch:
    """Notes every touch of an actor by code of the kernel that does not own it."""

    def __init__(self) -> None:
        self.breaches: set[str] = set()
        self.touches = 0
        self.makers: dict[int, FrameType] = {}

    def born(self, actor: object, frame: FrameType) -> None:
        """Note which function makes an actor: the innermost that is not the actor's own."""
        maker: FrameType | None = frame
        while maker is not None and owner_of(maker) is actor:
            maker = maker.f_back
        if maker is not None:
            self.makers[id(actor)] = maker

    def touched(self, actor: object, attribute: str, frame: FrameType) -> None:
        """Judge one access."""
        place = Path(frame.f_code.co_filename)
        if attribute in IDENTITY or KERNEL not in place.parents or place.name in COMPOSING:
            return
        self.touches += 1
        if (
            owner_of(frame) is not actor
            and self.makers.get(id(actor)) is not frame
            and not is_primitive(actor)
        ):
            self.breaches.add(f"{place.name}:{frame.f_lineno}: {attribute} of {type(actor).__name__}")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Every access to an attribute of an actor is watched."""
    watch = Watch()

    def getattribute(self: object, name: str) -> Any:
        watch.touched(self, name, sys._getframe(1))
        return object.__getattribute__(self, name)

    def setattribute(self: object, name: str, value: object) -> None:
        watch.touched(self, name, sys._getframe(1))
        object.__setattr__(self, name, value)

    init = Actor.__init__

    def initialise(self: Actor, *args: Any) -> None:
        watch.born(self, sys._getframe(1))
        init(self, *args)

    monkeypatch.setattr(Actor, "__init__", initialise)
    monkeypatch.setattr(Actor, "__getattribute__", getattribute, raising=False)
    monkeypatch.setattr(Actor, "__setattr__", setattribute, raising=False)
    return watch


@pytest.mark.parametrize("name", ["linux-6.12-powernv9-64k", "linux-4.9.148-preseed-powernv9-64k"])
def test_runs(name: str, watch: Watch) -> None:
    file = load_vectors(VECTORS / f"{name}.json")
    for program in file.programs[::9]:
        replay(program, file.generation, file.pinned_counts)
    assert watch.touches > 1000
    assert watch.breaches == set()


def test_the_watch_sees_what_it_forbids(watch: Watch) -> None:
    from actors.kernel.cpu import Cpu
    from actors.runtime.bare import BareRuntime

    cpu = Cpu(type("World", (), {"core": BareRuntime()})())  # type: ignore[arg-type]
    code = compile("def meddle(cpu):\n    cpu.running = 'me'\n", str(KERNEL / "foreign.py"), "exec")
    space: dict[str, Any] = {}
    exec(code, space)
    space["meddle"](cpu)
    assert watch.breaches == {"foreign.py:2: running of Cpu"}
