"""A real Dask cluster on this machine, and a wire to it that can be cut."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]

Part = subprocess.Popen[str]


class Parts(NamedTuple):
    """A cluster as it was started."""

    port: int
    scheduler: Part
    workers: list[Part]

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


def dask(*args: str) -> Part:
    """Start a part of a cluster."""
    command = [sys.executable, "-m", "dask", *args, "--no-dashboard"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@contextmanager
def local_cluster(workers: int) -> Iterator[Parts]:
    """A scheduler and so many workers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    started = [dask("scheduler", "--host", address)]
    work = ("worker", address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
    started += [dask(*work) for _ in range(workers)]
    try:
        for process in started[1:]:
            assert process.stderr is not None
            assert any("Registered to" in line for line in process.stderr), "the worker has ended"
        yield Parts(port, started[0], started[1:])
    finally:
        for process in started:
            process.kill()
            process.communicate()


class Wire:
    """A port that leads to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.ends: list[socket.socket] = []
        self.cut_ends: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.server.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self.server.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> int:
        """Cut all connections; new ones may be made. How many there were."""
        ends, self.ends = self.ends, []
        self.cut_ends += ends
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        self.server.close()
        self.cut()
        for end in self.cut_ends:
            end.close()
