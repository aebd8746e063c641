"""What a program has probably made so far, so that its next steps have something to aim at.

The model is light and hopeful: it takes every step for a success and the threads for one after
another. A wrong guess costs nothing but a call that fails, and those are wanted too.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from actors.program import Address, MachineSpec, Program, Step

ZERO = Address()
V2 = 7
WINDOW1_START = 1 << 59
"""Bus address of the second window."""
IOMMU_SHIFT = 12
"""log2 of the IOMMU page of the default window."""


@dataclass
class Window:
    """A DMA window: first bus address, size in bytes, log2 of its IOMMU page."""

    start: int
    size: int
    shift: int


@dataclass
class ContainerScene:
    """What one container probably holds.

    Attributes:
        iommu_type: what SET_IOMMU was told; None before.
        groups: names of the group descriptors in it.
        registered: ``(address, size)`` of what was registered on it.
        mapped: ``(iova, bytes)`` of what was mapped.
        windows: those of TCE_CREATE and the default one.
    """

    iommu_type: int | None = None
    groups: list[str] = field(default_factory=list)
    registered: list[tuple[Address, Address]] = field(default_factory=list)
    mapped: list[tuple[int, int]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)


@dataclass
class ProcessScene:
    """What one process probably has.

    Attributes:
        fds: name of a descriptor -> ``(kind, name under which the object was first opened)``.
        regions: name of a region of memory -> its pages.
        alive: whether it has not been told to end.
    """

    fds: dict[str, tuple[str, str]] = field(default_factory=dict)
    regions: dict[str, int] = field(default_factory=dict)
    alive: bool = True

    def named(self, kind: str) -> list[str]:
        """Names of the descriptors of one kind, oldest first."""
        return [name for name, (found, _) in self.fds.items() if found == kind]


class Scene:
    """Everything that a program has probably made.

    Args:
        machine: what it runs on.

    Attributes:
        processes: by actor.
        containers: by the name under which each was first opened.
        index_of: descriptor name of a group -> which group it is.
        container_of: descriptor name of a group -> the name of the container it is in.
        names: every descriptor name that any step opens.
    """

    def __init__(self, machine: MachineSpec) -> None:
        self.machine = machine
        self.processes: dict[int, ProcessScene] = {0: ProcessScene()}
        self.containers: dict[str, ContainerScene] = {}
        self.index_of: dict[str, int] = {}
        self.container_of: dict[str, str] = {}
        self.names: dict[str, None] = {}
        self.regions: dict[str, None] = {}
        self.actors = 1

    @classmethod
    def of(cls, program: Program) -> Scene:
        """The scene after a program's setup and threads."""
        scene = cls(program.machine)
        for step in program.setup:
            scene.absorb(step, step.actor)
        for thread in program.threads:
            for step in thread.steps:
                scene.absorb(step, thread.actor)
        return scene

    def back_to(self, earlier: Scene) -> None:
        """Make it as it was earlier, but for names that have been given and processes that were forked."""
        older = deepcopy(earlier)
        self.containers = {**self.containers, **older.containers}
        self.processes = {**self.processes, **older.processes}
        self.container_of = older.container_of

    @property
    def alive(self) -> list[int]:
        """Actors that probably live."""
        return [actor for actor, process in self.processes.items() if process.alive]

    def container(self, actor: int, fd: str | None) -> ContainerScene | None:
        """What a descriptor of an actor probably refers to."""
        process = self.processes.get(actor)
        kind, key = process.fds.get(fd or "", ("", "")) if process is not None else ("", "")
        return self.containers.get(key) if kind == "container" else None

    def fresh(self, prefix: str, taken: dict[str, None]) -> str:
        """A name that nothing has yet."""
        return next(name for number in range(1000) if (name := f"{prefix}{number}") not in taken)

    def bytes_of(self, size: Address | None) -> int:
        """A size in bytes."""
        return 0 if size is None else size.offset + size.pages * self.machine.page_size

    # -- what a step does ----------------------------------------------------------------------

    def absorb(self, step: Step, actor: int | None) -> None:
        """Take a step for done."""
        do = getattr(self, f"_{step.op}", None)
        who = step.actor if step.actor is not None else actor
        process = self.processes.get(-1 if who is None else who)
        if do is not None and process is not None:
            do(step, process)

    def _open(self, step: Step, process: ProcessScene) -> None:
        name = step.fd or ""
        kind = "container" if step.path == "/dev/vfio/vfio" else "group"
        process.fds[name] = (kind, name)
        self.names[name] = None
        if kind == "container":
            self.containers[name] = ContainerScene()
            self.container_of = {group: key for group, key in self.container_of.items() if key != name}
        else:
            self.index_of[name] = step.group_index or 0

    def _opennull(self, step: Step, process: ProcessScene) -> None:
        process.fds[step.fd or ""] = ("null", step.fd or "")
        self.names[step.fd or ""] = None

    def _devfd(self, step: Step, process: ProcessScene) -> None:
        process.fds[step.newfd or ""] = ("device", step.newfd or "")
        self.names[step.newfd or ""] = None

    def _dup(self, step: Step, process: ProcessScene) -> None:
        process.fds[step.newfd or ""] = process.fds.get(step.fd or "", ("null", ""))
        self.names[step.newfd or ""] = None

    def _close(self, step: Step, process: ProcessScene) -> None:
        kind, key = process.fds.pop(step.fd or "", ("", ""))
        held = any((kind, key) in each.fds.values() for each in self.processes.values())
        if kind == "group" and not held:
            self._leave(key)

    def _setcont(self, step: Step, process: ProcessScene) -> None:
        kind, group = process.fds.get(step.fd or "", ("", ""))
        aim, key = process.fds.get(step.container or "", ("", ""))
        if kind == "group" and aim == "container" and group not in self.container_of:
            self.container_of[group] = key
            self.containers[key].groups.append(group)

    def _unsetcont(self, step: Step, process: ProcessScene) -> None:
        self._leave(process.fds.get(step.fd or "", ("", ""))[1])

    def _leave(self, group: str) -> None:
        container = self.containers.get(self.container_of.pop(group, ""))
        if container is not None:
            container.groups.remove(group)
            if not container.groups:
                container.iommu_type, container.registered, container.mapped = None, [], []
                container.windows = []

    def _setiommu(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        if container is not None and container.groups and container.iommu_type is None:
            container.iommu_type = step.iommu_type
            container.windows = [Window(0, self.machine.dma32_window_size, IOMMU_SHIFT)]

    def _reg(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        if container is not None:
            container.registered.append((step.vaddr or ZERO, step.size or ZERO))

    def _unreg(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        place = (step.vaddr or ZERO, step.size or ZERO)
        if container is not None and place in container.registered:
            container.registered.remove(place)

    def _map(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        if container is not None:
            container.mapped.append((self.bytes_of(step.iova), self.bytes_of(step.size)))

    def _create(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        if container is not None and len(container.windows) < 2:
            start = WINDOW1_START if any(not w.start for w in container.windows) else 0
            container.windows.append(Window(start, self.bytes_of(step.window_size), step.page_shift or 0))

    def _remove(self, step: Step, process: ProcessScene) -> None:
        container = self.containers.get(process.fds.get(step.fd or "", ("", ""))[1])
        if container is not None:
            start = self.bytes_of(step.start_addr)
            container.windows = [w for w in container.windows if w.start != start]

    def _mmap(self, step: Step, process: ProcessScene) -> None:
        name = step.addr.region if step.addr is not None else None
        if name is not None:
            self.regions[name] = None
            pages = self.bytes_of(step.size) // self.machine.page_size
            process.regions[name] = max(pages, process.regions.get(name, 0))

    def _fork(self, step: Step, process: ProcessScene) -> None:
        child = ProcessScene(dict(process.fds), dict(process.regions))
        self.processes[step.new_actor or 0] = child
        self.actors = max(self.actors, (step.new_actor or 0) + 1)

    _clonevm = _fork

    def _exec(self, step: Step, process: ProcessScene) -> None:
        process.regions = {}

    def _exit(self, step: Step, process: ProcessScene) -> None:
        process.alive = False

    def _abort(self, step: Step, process: ProcessScene) -> None:
        victim = self.processes.get(step.target) if step.target is not None else process
        if victim is not None:
            victim.alive = False
