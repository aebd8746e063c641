"""Pictures of a run, drawn from its log: a page to walk through, and forms that other tools open.

Each form is a module with ``draw(log, **options) -> str``; it is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors.trace.jsonl import Log

FORMS: Final = {
    "html": "actors.draw.html",
    "perfetto": "actors.draw.perfetto",
    "mermaid": "actors.draw.mermaid",
    "svg": "actors.draw.svg",
}
"""Form -> the module that draws it."""

SUFFIXES: Final = {
    ".html": "html",
    ".htm": "html",
    ".json": "perfetto",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".svg": "svg",
}
"""End of a file's name -> the form that it asks for."""


class Undrawable(Exception):
    """A picture cannot be drawn; the message says why and what to do, in one line."""


def form_of(path: str) -> str | None:
    """The form that a file's name asks for; None when it asks for none."""
    return SUFFIXES.get(PurePath(path).suffix.lower())


def draw(log: Log, form: str = "html", **options: Any) -> str:
    """Draw a run.

    Args:
        log: of the run.
        form: one of :data:`FORMS`.
        options: of the form.

    Raises:
        Undrawable: this run cannot be drawn in this form, or a package is missing.
    """
    try:
        picture: str = import_module(FORMS[form]).draw(log, **options)
    except RecursionError:
        raise Undrawable("found a value nested too deeply, expected a log of a run") from None
    return picture


__all__ = ["FORMS", "SUFFIXES", "Undrawable", "draw", "form_of"]
