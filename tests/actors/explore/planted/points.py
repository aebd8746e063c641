"""Planted mistakes whose window is between two points of one class, and nothing else."""

from __future__ import annotations

from errno import EMFILE

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.cpu import INIT_MM, Cpu
from actors.kernel.messages import MmIommuUaToHpa
from actors.kernel.process import Process
from actors.kernel.task import File
from actors.kernel.uapi import REGISTER_MEMORY, RegisterMemory, UserPointer
from actors.runtime.ops import call, point
from hw import Ua


class InstallFindsFirst(Piece):
    slug = "install-finds-first"
    title = "the free descriptor is looked for before file_lock is taken, and taken under it"

    class process(Process):
        async def install(self, file: File) -> int:
            await point(self.files_read)
            fd = next((n for n in range(3, 1024) if n not in self.files), -EMFILE)
            await point(self.files_write)
            if fd >= 0:
                self.files[fd] = file
            return fd


class LastSeenBeforeDrop(Piece):
    slug = "last-seen-before-drop"
    title = "whether a reference to a file is the last is looked at before it is dropped"

    class process(Process):
        async def fput(self, file: File, holder: str) -> None:
            await point(file.f_count.reading())
            last = file.f_count.value == 1
            await file.f_count.drop(holder)
            if last:
                await self.release_file(file)


class LazyMmUsedUnheld(Piece):
    slug = "lazy-mm-used-unheld"
    title = "a CPU that goes idle asks the mm it has borrowed something, and holds no reference"

    class cpu(Cpu):
        async def context_switch(self, task: str, mm: str | None) -> None:
            await super().context_switch(task, mm)
            active = await self.active_mm.get()
            if mm is None and active != INIT_MM:
                await call(active, MmIommuUaToHpa(Ua(0), 12))


class DoubleFetch(Piece):
    slug = "double-fetch"
    title = "the argument of REGISTER is copied once to be checked, and once more to be used"

    class container(Container):
        async def read_register_argument(self, arg: UserPointer) -> tuple[int, RegisterMemory | None]:
            ret, param = await super().read_register_argument(arg)
            again = await self.copy_from_user(arg, REGISTER_MEMORY.size)
            return (ret, param) if param is None or again is None else (
                0, RegisterMemory._make(REGISTER_MEMORY.unpack(again))
            )  # fmt: skip
