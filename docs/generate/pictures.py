"""``python -m docs.generate.pictures``: the pictures of the timeline, taken anew in Chromium.

Needs what `make browser` and the tests install. They are no part of `make docs`: another version of
the browser draws letters a little differently.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import sync_playwright

from actors.draw.html import draw
from actors.explore import Failure, capture, explore
from actors.explore.logged import logged
from actors.explore.passing import passing
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-lcd-text", "--no-first-run"]
FOLDER = Path(__file__).parents[1] / "pictures"


class Picture(NamedTuple):
    """A picture of a page: its name, the page, where to look, light or dark, and its width."""

    name: str
    page: str
    link: str
    scheme: str = "light"
    width: int = 1360


def lazy_borrower() -> Failure:
    """A process exits on v4.9 while a kernel thread borrows its mm."""
    program, kernel = builtin("exit-with-lazy-borrower"), find_kernel("v4.9")
    return capture(program, kernel, explore(program, kernel, "bounded", schedules=500).failure)


def main() -> None:
    """Draw the pages and take their pictures."""
    failure = lazy_borrower()
    log, other = logged(failure), passing(failure)
    pages = {"one": draw(log), "two": draw(log, compare=logged(other) if other is not None else None)}
    taken = next(e.step for e in log.events if getattr(e, "holder", "") == "cpu:1")
    pictures = (
        Picture("timeline", "one", f"#step={taken}"),
        Picture("timeline-dark", "one", "", "dark"),
        Picture("timeline-compare", "two", "#step=8", width=1480),
    )
    with TemporaryDirectory() as folder, sync_playwright() as control:
        browser = control.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for picture in pictures:
            file = Path(folder, f"{picture.page}.html")
            file.write_text(pages[picture.page], encoding="utf-8")
            size = {"width": picture.width, "height": 720}
            page = browser.new_page(viewport=size, color_scheme=picture.scheme)
            page.goto(f"{file.as_uri()}{picture.link}")
            page.wait_for_timeout(500)
            page.screenshot(path=FOLDER / f"{picture.name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    main()
