"""The site is built without a warning; every link in it leads to a page and a place that is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Anchors(HTMLParser):
    """The links of a page, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        self.links += [values[name] for name in ("href", "src") if name in values]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def dead(site: Path) -> Iterator[str]:
    """Links of the site that lead nowhere."""
    pages = {path: Anchors(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for page, anchors in pages.items():
        if page.name == "404.html":
            continue
        for link in anchors.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            target = target / "index.html" if target.is_dir() else target
            place = unquote(url.fragment)
            if not target.exists() or (place and target in pages and place not in pages[target].places):
                yield f"{page.relative_to(site)}: {link}"


def test_every_link_leads_somewhere(site: Path) -> None:
    assert list(dead(site)) == []


def test_every_page_and_source_is_there(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    built = {path.stem for path in site.glob("*.html")}
    assert pages | {"index"} <= built
    assert "generate" not in {path.name for path in site.iterdir()}
    assert "tce_iommu_release" in (site / "source/actors/kernel/spapr_tce.py.html").read_text()
    index = (site / "index.html").read_text()
    assert all(f'href="{page}.html"' in index for page in pages), "the menu has every page"
