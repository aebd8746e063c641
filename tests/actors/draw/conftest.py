from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.draw.html import draw
from actors.explore import capture, explore
from actors.explore.logged import logged
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.trace import schema as s
from actors.trace.jsonl import Log

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def failure():
    program, kernel = builtin("exit-with-lazy-borrower"), find_kernel("v4.9")
    return capture(program, kernel, explore(program, kernel, "random", schedules=200).failure)


@pytest.fixture(scope="session")
def log(failure) -> Log:
    """A process exits on v4.9 while a kernel thread borrows its mm."""
    return logged(failure)


@pytest.fixture(scope="session")
def race() -> Log:
    """A MAP on v6.12 uses a table that a TCE_REMOVE frees."""
    program, kernel = builtin("map-vs-remove"), find_kernel("v6.12")
    return logged(capture(program, kernel, explore(program, kernel, schedules=500).failure))


class Script:
    """Writes events as a log would hold them, for what no modelled kernel does."""

    def __init__(self) -> None:
        self.events: list[s.Event] = []

    def add(self, kind: type[s.Happening], thread: str, actor: str = "machine:0", /, **fields: Any) -> int:
        step = len(self.events)
        self.events.append(kind(step=step, thread=thread, actor=actor, **fields))
        return step

    def log(self, name: str = "script", **end: Any) -> Log:
        header = s.Header(format=s.FORMAT, version=s.VERSION, kernel="fixed", name=name)
        return Log(header, self.events, s.End(step=len(self.events), **end))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def deadlock(script: Script) -> Log:
    """Two threads take two locks, each the other way round."""
    script.add(s.Start, "mapper")
    script.add(s.Start, "closer")
    pairs = (
        ("mapper", "tce_container:0.lock", "mem_list_mutex"),
        ("closer", "mem_list_mutex", "tce_container:0.lock"),
    )
    for thread, first, _ in pairs:
        cause = 0 if thread == "mapper" else 1
        script.add(
            s.Request, thread, operation="ioctl", to="container:0", request="tce_iommu_ioctl", cause=cause
        )
        script.add(s.Acquire, thread, "container:0", object=first, mode="acquire")
    for thread, _, second in pairs:
        other = "closer" if thread == "mapper" else "mapper"
        script.add(s.Wait, thread, "container:0", object=second, mode="acquire", holders=(other,))
    return script.log("two-locks", verdict="deadlock", message="mapper and closer wait for one another")


# -- a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here; make browser installs it")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as control:
        running = control.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=False)
        yield running
        running.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Draws a log and opens the page; in the end nothing may have gone wrong, and no network been asked."""
    wrong: list[str] = []
    pages = []

    def look(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            wrong.append(f"request of {request.url}")

    def open_page(
        log: Log, compare: Log | None = None, link: str = "", scheme: str = "light", **size: int
    ) -> Any:
        file = tmp_path / f"run{len(pages)}.html"
        file.write_text(draw(log, compare) if compare else draw(log), encoding="utf-8")
        viewport = {"width": 1400, "height": 900} | size
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", look)
        page.goto(f"{file.as_uri()}{link}")
        pages.append(context)
        return page

    yield open_page
    for context in pages:
        context.close()
    assert wrong == []
