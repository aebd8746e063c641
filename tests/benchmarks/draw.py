"""The page of a run of 10,000 steps: how large it is, how fast it is made, opened and stepped through.

What needs a browser is measured where Chromium is installed (``make browser``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from actors.draw.html import draw
from actors.machine import open_machine
from actors.trace import schema as s
from actors.trace.jsonl import Log, dump
from actors.trace.recorder import Recorder
from tests.benchmarks.harness import Pairs, at_most, figure, seconds

STEPS = 10_000
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
KEYS = ["ArrowRight", "ArrowRight", "PageDown", "ArrowLeft", "End", "ArrowLeft", "PageUp", "Home", "n", "r"]

FIRST_PICTURE = """() => {
  const look = () => {
    const map = document.querySelector(".map"), step = document.getElementById("step");
    if (map && map.width > 1 && step.textContent) window.drawn = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""

EMPTY = """<!doctype html><title>empty</title><canvas class="map" width="99"></canvas><p id="step">word</p>"""

STEP = """async (key) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  const began = performance.now();
  dispatchEvent(new KeyboardEvent("keydown", { key }));
  await frame();
  document.body.offsetHeight;
  return performance.now() - began;
}"""
"""From a key to the end of the frame that shows what it did; half of it is the wait for the frame."""


@cache
def long_run() -> Log:
    """A process that registers, maps, unmaps and unregisters memory, cut after 10,000 steps."""
    recorder = Recorder()

    async def life() -> None:
        async with open_machine(kernel="v6.12", log=recorder) as machine:
            qemu = await machine.spawn("qemu")
            container = await qemu.open_container()
            group = await qemu.open_group(0)
            await group.set_container(container)
            await container.set_iommu(7)
            while len(recorder) < STEPS:
                ram = await qemu.mmap(1 << 20)
                await container.register_memory(ram)
                await container.map_dma(iova=0, vaddr=ram.start, size=1 << 18)
                if len(recorder) % 3:
                    await container.unmap_dma(iova=0, size=1 << 18)
                    await container.unregister_memory(ram)

    trio.run(life)
    header = s.Header(format=s.FORMAT, version=s.VERSION, kernel="v6.12", name="a long run")
    return Log(header, recorder.events()[:STEPS], s.End(step=STEPS))


@figure("the page of a run of 10,000 steps", "MB", "its log", at_most(5, "value"))
def page_size() -> Pairs:
    log = long_run()
    yield len(draw(log).encode()) / 1e6, len(dump(log)) / 1e6


@figure("drawing it", "s", "writing its log as JSON")
def page_time() -> Pairs:
    log = long_run()
    for _ in range(3):
        yield seconds(lambda: draw(log)), seconds(lambda: dump(log))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as control:
        path = shutil.which("chromium")
        browser = control.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


def first_picture(browser: Any, file: Path) -> float:
    """Milliseconds from opening a page until it is drawn."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(f"({FIRST_PICTURE})()")
    page.goto(file.as_uri())
    while not (drawn := page.evaluate("window.drawn")):
        page.wait_for_timeout(20)
    page.close()
    return float(drawn)


if shutil.which("chromium") and find_spec("playwright"):

    @figure("opening it in Chromium, until the lanes are drawn", "ms", "an empty page")
    def page_opens() -> Pairs:
        with TemporaryDirectory() as folder, chromium() as browser:
            file, empty = Path(folder, "run.html"), Path(folder, "empty.html")
            file.write_text(draw(long_run()), encoding="utf-8")
            empty.write_text(EMPTY, encoding="utf-8")
            for _ in range(7):
                yield first_picture(browser, file), first_picture(browser, empty)

    @figure("a step of its cursor, from the key to the picture", "ms", target=at_most(50, "value"))
    def page_steps() -> Pairs:
        with TemporaryDirectory() as folder, chromium() as browser:
            file = Path(folder, "run.html")
            file.write_text(draw(long_run()), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(file.as_uri())
            for key in KEYS * 5:
                yield page.evaluate(STEP, key), None
