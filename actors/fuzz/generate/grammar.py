"""The operations and how each is written down: valid, nearly valid, or wrong.

A rule takes a source of chance and an actor and returns a step, or None where there is nothing to do
it with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.fuzz.generate.draw import ABSURD, GIB, KIB, MIB, Draw
from actors.fuzz.generate.scene import V2, WINDOW1_START, ContainerScene
from actors.program import Address, Step

Rule = Callable[[Draw, int], Step | None]
V1, EEH = 2, 5
ADVICE = ("dontneed",) * 6 + ("hugepage", "hugepage", "dontfork", "dontfork", "dofork", "willneed", 99)
"""What madvise is told; there is no 99."""


def container_call(op: str) -> Callable[[Callable[..., dict[str, Any] | None]], Rule]:
    """A rule of an ioctl on a container: the descriptor is drawn here, and what spoils the struct."""

    def rule(arguments: Callable[..., dict[str, Any] | None]) -> Rule:
        def draw_step(draw: Draw, actor: int) -> Step | None:
            fd = draw.descriptor(actor, "container", NEEDS.get(op, ""))
            if fd is None:
                return None
            values = arguments(draw, actor, draw.scene.container(actor, fd))
            return None if values is None else Step(op, fd=fd, **(values | spoilt(draw, op)))

        return draw_step

    return rule


NEEDS = {
    "map": "registered",
    "unreg": "registered",
    "unmap": "mapped",
    "remove": "windows",
    "create": "groups",
}
"""What a container should have for an ioctl to do something."""
PLAIN = frozenset({"setiommu", "enable", "disable", "chkext", "api"})


def spoilt(draw: Draw, op: str) -> dict[str, Any]:
    """What is wrong with the struct of an ioctl: mostly nothing."""
    if op in PLAIN or draw.tidy() or draw.tidy():
        return {}
    if op == "ioctl":
        return {"bad_user_pointer": True}
    return draw.pick(
        (
            {"argsz": draw.pick((0, 8, 15, 23, 31, 39, 64, 4096))},
            {"flags": draw.pick((0, 1, 2, 4, 7, 1 << 31))} if op != "info" else {"flags": 1},
            {"bad_user_pointer": True},
        )
    )


@container_call("setiommu")
def _setiommu(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    usual = V2 if draw.chance(0.85) else V1
    return {"iommu_type": usual if draw.tidy() else draw.pick((1, V1, 3, 4, V2, 99))}


@container_call("reg")
def _reg(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any] | None:
    found = draw.span(actor, container)
    return None if found is None else {"vaddr": found[0], "size": found[1]}


@container_call("unreg")
def _unreg(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any] | None:
    if container is not None and container.registered and draw.chance(0.85):
        at, size = draw.nudged(*draw.pick(container.registered))
        return {"vaddr": at, "size": size}
    found = draw.span(actor, container)
    return None if found is None else {"vaddr": found[0], "size": found[1]}


@container_call("map")
def _map(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any] | None:
    window = draw.window(container)
    iova, count = draw.bus_range(container, window)
    size = count << (window.shift if 0 < window.shift < 32 else 12)
    vaddr = draw.mapped_memory(actor, container, size)
    if vaddr is None:
        return None
    if not draw.tidy():
        size = draw.pick((0, size + 1, size + 0x800, 0x800, 2 * size))
    flags = {} if draw.chance(0.85) else {"flags": draw.pick((1, 2, 0))}
    return {"vaddr": vaddr, "iova": iova, "size": Address(None, size)} | flags


@container_call("unmap")
def _unmap(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    window = draw.window(container)
    iova, count = draw.bus_range(container, window)
    size = count << (window.shift if 0 < window.shift < 32 else 12)
    if not draw.tidy():
        size = draw.pick((0, size + 1, size + 0x800, 2 * size))
    return {"iova": iova, "size": Address(None, size)}


@container_call("create")
def _create(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    shift = draw.pick((12, 16, 16, 16, 24)) if draw.tidy() else draw.pick((0, 11, 13, 21, 34, 63, 64, 255))
    size = draw.pick((64 * KIB, MIB, 16 * MIB, 256 * MIB, GIB, 2 * GIB, 4 * GIB))
    if not draw.tidy():
        size = draw.pick((0, size + 4096, 3 * MIB, 1 << 40, 1 << 63, *ABSURD))
    levels = draw.pick((1, 1, 1, 2, 2, 3)) if draw.tidy() else draw.pick((0, 4, 5, 5, 6, 255))
    return {"page_shift": shift, "window_size": Address(None, size), "levels": levels}


@container_call("remove")
def _remove(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    start = draw.window(container).start if draw.chance(0.9) else draw.pick((0, WINDOW1_START))
    return {"start_addr": draw.off(start, 12)}


@container_call("enable")
def _enable(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {}


@container_call("disable")
def _disable(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {}


@container_call("info")
def _info(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {}


@container_call("api")
def _api(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {}


@container_call("chkext")
def _chkext(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {"extension": draw.pick((1, V1, 3, EEH, V2, 99))}


@container_call("eeh")
def _eeh(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {"eeh_op": draw.random.randrange(11)}


@container_call("ioctl")
def _ioctl(draw: Draw, actor: int, container: ContainerScene | None) -> dict[str, Any]:
    return {"nr_offset": draw.random.randrange(32)}


# -- descriptors and groups --------------------------------------------------------------------


def _open(draw: Draw, actor: int) -> Step:
    scene = draw.scene
    closed = [g for g in range(scene.machine.groups) if g not in scene.index_of.values()]
    if draw.chance(0.65 if closed else 0.3):
        index = draw.pick(closed) if closed and draw.tidy() else draw.random.randrange(scene.machine.groups)
        name = scene.fresh("G", scene.names)
        return Step("open", path="/dev/vfio/<group>", group_index=index, fd=name)
    return Step("open", path="/dev/vfio/vfio", fd=scene.fresh("C", scene.names))


def _opennull(draw: Draw, actor: int) -> Step:
    return Step("opennull", fd=draw.scene.fresh("N", draw.scene.names))


def _setcont(draw: Draw, actor: int) -> Step | None:
    group, container = draw.descriptor(actor, "group"), draw.descriptor(actor, "container")
    if group is None or container is None:
        return None
    bad = None if draw.tidy() or draw.tidy() else True
    return Step("setcont", fd=group, container=container if draw.tidy() else "-1", bad_user_pointer=bad)


def group_call(op: str) -> Rule:
    """A call that takes a group's descriptor and nothing else."""

    def rule(draw: Draw, actor: int) -> Step | None:
        fd = draw.descriptor(actor, "group")
        return None if fd is None else Step(op, fd=fd)

    return rule


def _devfd(draw: Draw, actor: int) -> Step | None:
    fd = draw.descriptor(actor, "group")
    if fd is None:
        return None
    device = None if draw.tidy() else "0000:00:00.0"
    return Step("devfd", fd=fd, newfd=draw.scene.fresh("D", draw.scene.names), device=device)


def any_descriptor(draw: Draw, actor: int) -> str | None:
    """A descriptor of any kind that the actor has."""
    names = list(draw.process(actor).fds) if draw.tidy() else list(draw.scene.names)
    return draw.pick(names) if names else None


def _close(draw: Draw, actor: int) -> Step | None:
    groups = draw.process(actor).named("group")
    fd = draw.pick(groups) if groups and draw.chance(0.5) else any_descriptor(draw, actor)
    return None if fd is None else Step("close", fd=fd)


def _dup(draw: Draw, actor: int) -> Step | None:
    fd = any_descriptor(draw, actor)
    return None if fd is None else Step("dup", fd=fd, newfd=draw.scene.fresh("X", draw.scene.names))


def _cloexec(draw: Draw, actor: int) -> Step | None:
    fd = any_descriptor(draw, actor)
    return None if fd is None else Step("cloexec", fd=fd)


# -- memory ------------------------------------------------------------------------------------


def _mmap(draw: Draw, actor: int) -> Step:
    regions = draw.process(actor).regions
    again = bool(regions) and draw.chance(0.25)
    name = draw.pick(list(regions)) if again else draw.scene.fresh("M", draw.scene.regions)
    flags = tuple(
        flag for flag, part in (("shared", 0.15), ("force", 0.6 if again else 0.0)) if draw.chance(part)
    )
    size = Address(None, 0, draw.pick((1, 2, 4, 4, 8, 16)))
    prot = "rw" if draw.chance(0.85) else draw.pick(("r", "none"))
    return Step("mmap", addr=Address(name), size=size, prot=prot, mmap_flags=flags or None)


def memory_call(op: str, **fixed: Any) -> Rule:
    """A call on a range of the process's memory."""

    def rule(draw: Draw, actor: int) -> Step | None:
        found = draw.region(actor)
        if found is None:
            return None
        name, pages = found
        first = 0 if draw.chance(0.6) else draw.random.randrange(pages)
        count = pages - first if draw.chance(0.6) else 1 + draw.random.randrange(pages)
        return Step(op, addr=Address(name, 0, first), size=Address(None, 0, count), **fixed)

    return rule


def _mprotect(draw: Draw, actor: int) -> Step | None:
    return memory_call("mprotect", prot=draw.pick(("r", "rw", "none")))(draw, actor)


def _madvise(draw: Draw, actor: int) -> Step | None:
    return memory_call("madvise", advice=draw.pick(ADVICE))(draw, actor)


def _rlimit(draw: Draw, actor: int) -> Step:
    return Step("rlimit", limit=Address(None, draw.pick((0, 64 * KIB, MIB, 4 * MIB, 8 * MIB, (1 << 64) - 1))))


def plain(op: str) -> Rule:
    """A call without arguments."""
    return lambda draw, actor: Step(op)


# -- life, and the machine ---------------------------------------------------------------------


def clone(op: str) -> Rule:
    """A new process; a program has few of them."""

    def rule(draw: Draw, actor: int) -> Step | None:
        return Step(op, new_actor=draw.scene.actors) if draw.scene.actors < 4 else None

    return rule


def _abort(draw: Draw, actor: int) -> Step:
    return Step("abort", target=draw.pick(list(draw.scene.processes)))


def _dma(draw: Draw, actor: int) -> Step:
    containers = list(draw.scene.containers.values())
    container = draw.pick(containers) if containers else None
    iova, count = draw.bus_range(container, draw.window(container))
    group = draw.random.randrange(draw.scene.machine.groups)
    return Step("dma", group=group, iova=iova, size=Address(None, count << 12), write=draw.chance(0.6))


def run_on(draw: Draw, cpu: int) -> Step:
    """A context switch of a CPU: to a process, or to something that borrows its mm."""
    if draw.chance(0.45):
        return Step("run", task=f"actor:{draw.pick(list(draw.scene.processes))}")
    return Step("run", task="idle" if draw.chance(0.4) else f"kthread:kworker/{cpu}:0")


RULES: Mapping[str, tuple[float, Rule]] = {
    "map": (8, _map),
    "unmap": (4, _unmap),
    "reg": (6, _reg),
    "unreg": (5, _unreg),
    "create": (3, _create),
    "remove": (2.5, _remove),
    "close": (3, _close),
    "setcont": (2, _setcont),
    "unsetcont": (2.5, group_call("unsetcont")),
    "setiommu": (1.5, _setiommu),
    "enable": (1, _enable),
    "disable": (1, _disable),
    "open": (1.5, _open),
    "exit": (1.5, plain("exit")),
    "abort": (0.7, _abort),
    "exec": (0.7, plain("exec")),
    "fork": (1, clone("fork")),
    "clonevm": (0.5, clone("clonevm")),
    "mmap": (1.5, _mmap),
    "munmap": (1, memory_call("munmap")),
    "mprotect": (0.5, _mprotect),
    "madvise": (0.7, _madvise),
    "mlock": (0.5, memory_call("mlock")),
    "munlock": (0.3, memory_call("munlock")),
    "touch": (0.7, memory_call("touch")),
    "rlimit": (0.5, _rlimit),
    "dropcap": (0.5, plain("dropcap")),
    "dma": (2, _dma),
    "rcu": (0.5, plain("rcu")),
    "info": (0.4, _info),
    "status": (0.3, group_call("status")),
    "eeh": (0.5, _eeh),
    "devfd": (0.7, _devfd),
    "dup": (0.5, _dup),
    "cloexec": (0.3, _cloexec),
    "api": (0.1, _api),
    "chkext": (0.2, _chkext),
    "ioctl": (0.2, _ioctl),
    "opennull": (0.1, _opennull),
}
"""Operation -> how often it is drawn beside the others, and the rule that writes it."""

ENDS = frozenset({"exit", "abort", "exec"})
"""What ends a process or its address space; nothing for whoever is no process."""

AGAINST: Mapping[str, tuple[str, ...]] = {
    "map": ("unmap", "unreg", "remove", "close", "unsetcont", "disable", "dma", "create"),
    "unmap": ("map", "dma", "remove", "close"),
    "reg": ("unreg", "close", "unsetcont", "exit", "munmap", "create", "map"),
    "unreg": ("map", "reg", "close"),
    "create": ("remove", "map", "close", "setcont"),
    "remove": ("map", "create", "unmap", "dma"),
    "setcont": ("unsetcont", "close", "setiommu", "map"),
    "unsetcont": ("map", "setcont", "reg", "create"),
    "setiommu": ("setcont", "close"),
    "enable": ("disable", "map"),
    "disable": ("enable", "map"),
    "close": ("map", "reg", "create", "dup", "devfd"),
    "open": ("close", "exit"),
    "fork": ("exit", "abort", "close"),
    "exit": ("map", "reg", "fork", "create"),
    "exec": ("map", "reg", "close"),
    "mmap": ("munmap", "reg"),
    "munmap": ("reg", "map", "touch"),
    "dma": ("unmap", "remove", "close", "exit"),
    "devfd": ("close", "unsetcont"),
}
"""Operation -> those that take away, make or use what it makes, uses or takes away."""
