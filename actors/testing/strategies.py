"""Hypothesis strategies for what runs on the emulator: operations, programs, orders, kernels.

All are ordinary strategies: they shrink (towards the mended kernel, fewer steps, the calm order), what
fails is kept in Hypothesis's database, and they combine with any other. The extra ``tcemu[fuzz]``
brings Hypothesis::

    from hypothesis import given
    from actors.testing.strategies import orders, programs

    @given(programs(), orders())
    def test_nothing_breaks_the_mended_kernel(program, order):
        assert order.run(program).ok
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
from hypothesis import reject
from hypothesis import strategies as st

from actors.explore import Result, prepare, run_once
from actors.explore.strategies import Lenient
from actors.kernel import uapi
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import Conflict, Kernel
from actors.kernel.generations import GENERATIONS
from actors.program import Address, MachineSpec, Program, Step, ThreadSpec

PAGE: Final = 4096
"""Bytes of an IOMMU page of the default window."""

REGION_PAGES: Final = 4
"""Kernel pages of each region of a program that is drawn."""

WINDOW_PAGES: Final = 32
"""IOMMU pages at the bottom of the window that are mapped; few, so that operations meet."""


class Order(msgspec.Struct, frozen=True):
    """An order, by its decisions: the option that each takes; 0, the calm one, where none is left.

    Attributes:
        taken: the decisions; one that is not among the options stands for the calm one.
    """

    taken: tuple[int, ...] = ()

    def chooser(self) -> Lenient:
        """Whoever takes these decisions."""
        return Lenient(self.taken)

    def run(self, program: Program, kernel: Kernel | str = "fixed") -> Result:
        """Run a program in this order."""
        return run_once(prepare(program, kernel), self.chooser())


def orders(decisions: int = 100, options: int = 4) -> st.SearchStrategy[Order]:
    """Orders, towards fewer preemptions.

    Args:
        decisions: the most that an order has.
        options: how many threads, or whatever is chosen from, an order can tell apart.
    """
    taken = st.lists(st.integers(0, options - 1), max_size=decisions)
    return taken.map(lambda drawn: Order(tuple(drawn)))


def kernels(
    names: Sequence[str] = ("fixed", *GENERATIONS), switches: int = 0, among: Collection[str] | None = None
) -> st.SearchStrategy[Kernel]:
    """Kernels by name, towards the first of them, with up to ``switches`` defects switched on.

    Args:
        names: the kernels.
        switches: the most defects to switch on.
        among: slugs of the defects; all when left out.
    """
    slugs = sorted(among if among is not None else [s for s, piece in piece_names().items() if piece.defect])
    drawn = st.lists(st.sampled_from(slugs), max_size=switches, unique=True) if switches else st.just([])
    return st.builds(composed, st.sampled_from(list(dict.fromkeys(names))), drawn)


def composed(name: str, slugs: Sequence[str]) -> Kernel:
    """A kernel with defects switched on; a draw in which they do not go together is given up."""
    usual = find_kernel(name).slugs
    try:
        return find_kernel(name, [slug for slug in slugs if slug not in usual])
    except Conflict:
        reject()


# -- operations --------------------------------------------------------------------------------------


FREQUENT: Final = ("map", "unmap", "reg", "unreg")
RARE: Final = (
    "munmap", "unsetcont", "setcont", "setiommu", "remove", "create", "info", "close", "exit",
)  # fmt: skip


def operations(
    containers: Sequence[str] = ("C0",),
    groups: Sequence[str] = ("G0",),
    regions: Sequence[str] = ("M0", "M1"),
    ops: Sequence[str] = FREQUENT * 4 + RARE,
) -> st.SearchStrategy[Step]:
    """Operations of a process on descriptors and regions that it has, towards the first of ``ops``.

    Args:
        containers: names of descriptors of containers.
        groups: the same of groups.
        regions: names of regions, each of :data:`REGION_PAGES` kernel pages.
        ops: what to draw from; what stands there often is drawn often.
    """
    container, group, region = (st.sampled_from(list(names)) for names in (containers, groups, regions))
    whole, pages = region.map(Address), st.just(Address(pages=REGION_PAGES))
    iova = st.integers(0, WINDOW_PAGES - 1).map(lambda page: Address(offset=page * PAGE))
    size = st.integers(1, WINDOW_PAGES // 2).map(lambda pages: Address(offset=pages * PAGE))
    window = {"page_shift": st.sampled_from((16, 12)), "window_size": st.just(Address(offset=1 << 30))}
    fields: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "map": {"fd": container, "vaddr": whole, "iova": iova, "size": size},
        "unmap": {"fd": container, "iova": iova, "size": size},
        "reg": {"fd": container, "vaddr": whole, "size": pages},
        "unreg": {"fd": container, "vaddr": whole, "size": pages},
        "munmap": {"addr": whole, "size": pages},
        "unsetcont": {"fd": group},
        "setcont": {"fd": group, "container": container},
        "setiommu": {"fd": container, "iommu_type": st.just(uapi.VFIO_SPAPR_TCE_v2_IOMMU)},
        "remove": {"fd": container, "start_addr": st.just(Address())},
        "create": {"fd": container, "levels": st.integers(1, 2), **window},
        "info": {"fd": container},
        "close": {"fd": st.one_of(container, group)},
        "exit": {},
    }
    steps = {op: step(op, **each) for op, each in fields.items()}
    return st.sampled_from(list(ops)).flatmap(steps.__getitem__)


def step(op: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Steps of one operation; keywords are strategies for its fields."""
    return st.builds(Step, st.just(op), **fields)


def cpu_steps(actors: Sequence[int] = (0,)) -> st.SearchStrategy[Step]:
    """What a CPU switches to: a process, a kernel thread that borrows its mm, nothing."""
    tasks = [*(f"actor:{actor}" for actor in actors), "kthread:kworker", "idle"]
    return step("run", task=st.sampled_from(tasks))


# -- programs ----------------------------------------------------------------------------------------

BEGINNING: Final = (
    Step("open", actor=0, path="/dev/vfio/vfio", fd="C0"),
    Step("open", actor=0, path="/dev/vfio/<group>", fd="G0", group_index=0),
    Step("setcont", actor=0, fd="G0", container="C0"),
    Step("setiommu", actor=0, fd="C0", iommu_type=uapi.VFIO_SPAPR_TCE_v2_IOMMU),
    *(
        Step("mmap", actor=0, addr=Address(region), size=Address(pages=REGION_PAGES), prot="rw")
        for region in ("M0", "M1")
    ),
    Step("reg", actor=0, fd="C0", vaddr=Address("M0"), size=Address(pages=REGION_PAGES)),
)
"""A process with a group in a container, two regions, one of them registered."""


@st.composite
def programs(
    draw: st.DrawFn,
    threads: int = 3,
    steps: int = 3,
    operation: Callable[[], st.SearchStrategy[Step]] = operations,
    machine: MachineSpec | None = None,
) -> Program:
    """Programs that can run: a process with a container, perhaps its child, and threads of both and of CPUs.

    Args:
        draw: Hypothesis's.
        threads: the most of them.
        steps: the most that a thread makes.
        operation: makes the strategy for the operations; :func:`operations` when left out.
        machine: what it runs on; an ordinary one when left out.
    """
    machine = machine or MachineSpec()
    setup = list(BEGINNING)
    forked = draw(st.booleans())
    if forked:
        setup.append(Step("fork", actor=0, new_actor=1))
    owners = [(actor, None) for actor in (0, 1)[: 1 + forked]] + [(None, cpu) for cpu in range(machine.cpus)]
    chosen = draw(st.lists(st.sampled_from(owners), min_size=1, max_size=threads))
    specs = tuple(
        ThreadSpec(
            f"thread {number}",
            actor,
            cpu,
            tuple(draw(st.lists(operation() if cpu is None else cpu_steps(), min_size=1, max_size=steps))),
        )
        for number, (actor, cpu) in enumerate(chosen)
    )
    return Program("drawn", machine=machine, setup=tuple(setup), threads=specs)


__all__ = ["BEGINNING", "Order", "cpu_steps", "kernels", "operations", "orders", "programs", "step"]
