"""A real client, killed at many points of its life.

The project comes with recordings of what real clients ask of the driver, call by call: here a QEMU
whose guest gets more memory while it runs, and a DPDK program whose heap grows and shrinks. Each is
played up to a call and killed there, while a kernel thread on cpu1 borrows its address space. Then
cpu1 goes on to another process, and nothing may be left at all.

DPDK shows a defect of Linux 6.12, because it has one of its own: it builds its UNMAP_DMA wrongly,
so that it unregisters memory that is still mapped (the EBUSY rule of example 02).
"""

from itertools import groupby

from actors.execute.play import Remains, play_killed
from actors.program import builtin_streams, load_stream


def told(remains: Remains | None) -> str:
    """What is left of the client's memory."""
    assert remains is not None
    return f"{remains.pinned_pages:,} pages pinned" if remains.pinned_pages else "nothing pinned"


def kill(name: str, kernel: str, every: int) -> None:
    """Kill copies of a recorded client after every so many calls, and print what each leaves."""
    stream = load_stream(builtin_streams()[name])
    print(f"-- {name}, {stream.calls} calls, kernel {kernel}")
    endings = play_killed(stream, kernel, points=range(0, stream.calls + 1, every), borrow=[1])
    for left, same in groupby(endings, lambda each: (told(each[1].borrowed), told(each[1].final))):
        calls = [point for point, _ in same]
        span = f"{calls[0]}" if len(calls) == 1 else f"{calls[0]} to {calls[-1]}"
        print(f"killed after {span} calls: {left[0]}; when cpu1 has moved on: {left[1]}")


for kernel in ("v4.10-parent", "v4.10"):
    kill("qemu-memory-hotplug", kernel, every=1)
for kernel in ("v6.12", "fixed"):
    kill("dpdk-heap-grow-shrink", kernel, every=50)
