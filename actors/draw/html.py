"""A run as one page to walk through: lanes, a cursor, and the state beside it.

The page is one file. It asks the network for nothing, and its content policy would not let it: only
the script and the style whose digests it names may act, whatever a log holds.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.draw import Undrawable
from actors.draw.rundata import beginning, run_data
from actors.trace import schema as s
from actors.trace.diff import Parting, diff, unlike
from actors.trace.jsonl import Log
from actors.trace.text import clipped

PAGE: Final = Path(__file__).parent / "page"

SCRIPTS: Final = ("run", "paint", "drawing", "map", "lanes", "panel", "find", "app")
"""The parts of the page's script, in the order in which they build on one another."""

MARKUP: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
"""What could end a script element, or a line of script, as JSON may spell it too."""


def draw(log: Log, compare: Log | None = None) -> str:
    """Make the page.

    Args:
        log: of the run.
        compare: of another run, to be shown beside it from where they part.

    Raises:
        Undrawable: there is too little or too much to draw, or Jinja2 is missing.
    """
    template = page_template()
    data = page_data(log, compare)
    style = (PAGE / "page.css").read_text(encoding="utf-8")
    script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    page: str = template.render(
        title=f"{data['runs'][0]['name']} on {data['runs'][0]['kernel']}",
        style=style,
        script=script,
        style_digest=digest(style),
        script_digest=digest(script),
        data=embedded(data),
    )
    return page


def page_template() -> Any:
    """The template.

    Raises:
        Undrawable: the package that reads it is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - an extra
    except ImportError:
        raise Undrawable("the page needs the package jinja2: pip install 'tcemu[report]'") from None
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.jinja")


def page_data(log: Log, compare: Log | None) -> dict[str, Any]:
    """Everything that the script is given."""
    if compare is None:
        return {"runs": [run_data(beginning(log))], "parting": None}
    parting = parting_data(diff(log, compare)) | {"unlike": unlike(log, compare)}
    return {"runs": [run_data(beginning(each)) for each in (log, compare)], "parting": parting}


def parting_data(parting: Parting) -> dict[str, Any]:
    """Where two runs part, and by which decision."""
    chosen = None if parting.choice is None else [decision(choice) for choice in parting.choice]
    differ = [clipped(name, 60) for name in parting.headers if name != "choices"]
    return {"row": parting.common, "same": parting.same, "chosen": chosen, "differ": differ}


def decision(choice: s.Choice | None) -> str:
    """What was decided."""
    return "nothing" if choice is None else clipped(choice.chosen or f"{choice.label}: {choice.taken}", 60)


def digest(text: str) -> str:
    """The digest of an inline script or style, as a content policy names it."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def embedded(data: dict[str, Any]) -> str:
    """The data as JSON that can stand inside a script element, whatever texts it holds."""
    text = msgspec.json.encode(data).decode()
    for char, spelled in MARKUP.items():
        text = text.replace(char, spelled)
    return text


__all__ = ["draw"]
