"""The generated parts of the docs are what they would be now, and what the docs point to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate.blocks import PAGES, WRITERS, rewritten

ROOT = PAGES.parent
DOCS = sorted(PAGES.glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


LONG = {"clients": re.compile("begin (client-(?:reports|remarks) long)")}
"""Pages with blocks that take long, and how these begin."""


@pytest.mark.parametrize("page", [page for page in DOCS if page.stem not in LONG], ids=lambda page: page.stem)
def test_page_is_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert rewritten(text) == text, "make docs writes it anew"


@pytest.mark.parametrize("name", LONG)
def test_the_quick_blocks_of_a_long_page_are_up_to_date(name: str) -> None:
    quick = LONG[name].sub(r"later \1", (PAGES / f"{name}.md").read_text())
    assert rewritten(quick) == quick, "make docs writes it anew"


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_long_page_is_up_to_date(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text()
    assert rewritten(text) == text, "make docs writes it anew"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_writer_is_used() -> None:
    used = set(re.findall(r"<!-- begin ([\w-]+)", "".join(page.read_text() for page in DOCS)))
    assert used == set(WRITERS)


def test_a_stale_block_is_rewritten() -> None:
    page = "before\n<!-- begin generations -->\nstale\n<!-- end -->\nafter\n"
    fresh = rewritten(page)
    assert "stale" not in fresh
    assert fresh.startswith("before\n<!-- begin generations -->\n| kernel |")
    assert fresh.endswith("<!-- end -->\nafter\n")
    assert rewritten(fresh) == fresh


def test_examples_named_in_the_docs_exist() -> None:
    named = {name for page in DOCS for name in re.findall(r"examples/(\d\d_\w+\.py)", page.read_text())}
    assert {name for name in named if not (ROOT / "examples" / name).exists()} == set()
