"""``python -m docs.generate [--check] [PAGE...]``."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generate.blocks import PAGES, rewritten


def main(arguments: list[str]) -> int:
    """Rewrite pages; with ``--check`` say which are out of date, and end with 1 if any is."""
    check = "--check" in arguments
    named = [Path(name) for name in arguments if name != "--check"]
    missing = [str(page) for page in named if not page.is_file()]
    if missing:
        print(f"{missing[0]}: no such page; usage: {__doc__}", file=sys.stderr)
        return 2
    stale = []
    for page in named or sorted(PAGES.glob("*.md")):
        old, new = page.read_text(), rewritten(page.read_text())
        if old != new:
            stale.append(page.name)
            if not check:
                page.write_text(new)
    if stale:
        print("out of date:" if check else "written:", ", ".join(stale))
    return int(check and bool(stale))


sys.exit(main(sys.argv[1:]))
