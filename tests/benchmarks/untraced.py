"""A process that runs orders on request and says how long it took, with or without the text of tracing.

``python -m tests.benchmarks.untraced [--strip]``: for each line on standard input that holds a number,
run so many orders and print the seconds. With ``--strip`` every statement of the runtime and the
kernel text that asks whether somebody is told of accesses is taken out of the source as it is
imported: what is left is an emulator that knows nothing of logs.
"""

from __future__ import annotations

import ast
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from random import Random
from time import perf_counter
from types import CodeType
from typing import Any

PACKAGES = ("actors.runtime", "actors.kernel")
WATCHED = {"tracing", "tracer"}
SCENARIO = "close-orders"


class Stripper(ast.NodeTransformer):
    """Takes out every ``if`` that asks for a tracer."""

    def __init__(self) -> None:
        self.count = 0

    def visit_If(self, node: ast.If) -> Any:
        """Leave what is done when nobody is told."""
        self.generic_visit(node)
        if not any(isinstance(n, ast.Attribute) and n.attr in WATCHED for n in ast.walk(node.test)):
            return node
        self.count += 1
        return node.orelse or ast.Pass()


class Loader(SourceFileLoader):
    """Imports a module without what tells of accesses."""

    stripped = 0

    def get_code(self, fullname: str) -> CodeType:
        """Compile the stripped source; what is cached is the whole one."""
        path = self.get_filename(fullname)
        stripper = Stripper()
        tree = stripper.visit(ast.parse(self.get_data(path), path))
        Loader.stripped += stripper.count
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class Finder(PathFinder):
    """Finds the modules that are to be stripped."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Give such a module the stripping loader."""
        if not fullname.startswith(PACKAGES):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(fullname, spec.loader.path)
        return spec


def main() -> None:
    """Answer requests until there are no more."""
    if "--strip" in sys.argv:
        sys.meta_path.insert(0, Finder)
    from actors.explore import Prepared
    from actors.explore.arena import Arena
    from actors.explore.scenarios import builtin

    if "--strip" in sys.argv and not Loader.stripped:
        sys.exit("nothing was stripped")

    class Dice:
        def __init__(self, seed: int) -> None:
            self.draw = Random(seed).random

        def choose(self, label: str, options: int) -> int:
            return int(self.draw() * options)

        def pick(self, core: Any) -> Any:
            return core.ready[int(self.draw() * len(core.ready))]

    prepared = Prepared(builtin(SCENARIO))
    for line in sys.stdin:
        start = perf_counter()
        for seed in range(int(line)):
            prepared.run(Arena(Dice(seed)))
        print(perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
