"""What a program is, as values: frozen, comparable, hashable, picklable.

A recorded vector, a recorded client stream, a stress scenario, a fuzzer's output and a
failure are all one `Program`. Vectors and streams have one total order: all their steps are in
`setup` and they have no threads.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

import msgspec

from actors.program.address import Address, parse_size, resolve

K = TypeVar("K")
V = TypeVar("V")

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


class FrozenDict(dict[K, V]):
    """A dict that cannot change once made, so that values holding one can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a FrozenDict does not change")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)


class MachineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that a program wants.

    Attributes:
        page_size: Bytes a kernel page: 4096 or 65536.
        cpus: Number of CPUs; a program names them 0 to cpus-1.
        groups: IOMMU groups, each with its own PHB and PE.
        memory_bytes: RAM.
        platform: `powernv9` (PHB4) or `powernv8` (PHB3).
        mmu: `radix` or `hash`; decides which hugetlb sizes exist.
        dma32_window_size: Bytes of the 32-bit window, which starts at 0.
        hugepages: Size of the pools by name of the page size (`{"16M": 20}`).
        rlimit_memlock: Bytes that a process may lock; None is unlimited.
    """

    page_size: int = 64 * KIB
    cpus: int = 2
    groups: int = 1
    memory_bytes: int = 2 * GIB
    platform: str = "powernv9"
    mmu: str = "radix"
    dma32_window_size: int = 2 * GIB
    hugepages: FrozenDict[str, int] = FrozenDict()
    rlimit_memlock: int | None = None

    @property
    def hugepage_pools(self) -> dict[int, int]:
        """Number of huge pages in the pool by page shift."""
        return {parse_size(size).offset.bit_length() - 1: count for size, count in self.hugepages.items()}


class Observed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """What a recorder saw after a step. None: not recorded, not compared.

    Attributes:
        ret: 0, a positive number or a negative errno; of a client stream only plausible.
        out: Fields copied back to the caller, by the vectors' names.
        vmlck_kb: VmLck of the acting process.
        vmlck_kb_all_actors: VmLck of every living process, by actor.
        pinned_pages: Pages pinned in the whole machine since the vector began.
    """

    ret: int | None = None
    out: FrozenDict[str, int] | None = None
    vmlck_kb: int | None = None
    vmlck_kb_all_actors: FrozenDict[int, int] | None = None
    pinned_pages: int | None = None


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """One operation of a process, a CPU or the machine.

    `ops.OPS` says which of the fields an operation has; the others are None, and so is an
    optional field that was left out (`ops.arguments` fills in its usual value).

    Attributes:
        op: Name of the operation.
        actor: The process that acts; None within a thread means the thread's.
        cpu: The CPU that acts (`run`); None within a thread means the thread's.
        ret: Results that are right; None expects nothing.
        errno: Names of errors that are right, besides `ret`; None expects nothing.
        observed: What a recorder saw (vectors and streams).
        thread: The client's thread (streams).
        call: The call as the client named it (streams): `VFIO_IOMMU_MAP_DMA`.
        repeat: How many calls the step stands for (streams).
        stride: What each repetition adds to the named fields (streams).
    """

    op: str
    actor: int | None = None
    cpu: int | None = None
    path: str | None = None
    fd: str | None = None
    newfd: str | None = None
    group_index: int | None = None
    container: str | None = None
    device: str | None = None
    iommu_type: int | None = None
    extension: int | None = None
    nr_offset: int | None = None
    addr: Address | None = None
    vaddr: Address | None = None
    iova: Address | None = None
    size: Address | None = None
    prot: str | None = None
    mmap_flags: tuple[str, ...] | None = None
    hshift: int | None = None
    file: str | None = None
    advice: str | int | None = None
    limit: Address | None = None
    page_shift: int | None = None
    window_size: Address | None = None
    levels: int | None = None
    start_addr: Address | None = None
    start_addr_in: Address | None = None
    eeh_op: int | None = None
    argsz: int | None = None
    flags: int | None = None
    bad_user_pointer: bool | None = None
    new_actor: int | None = None
    target: int | None = None
    task: str | None = None
    group: int | None = None
    write: bool | None = None
    off: int | None = None
    len: int | None = None
    data: str | None = None
    ret: tuple[int, ...] | None = None
    errno: tuple[str, ...] | None = None
    observed: Observed | None = None
    thread: int | None = None
    call: str | None = None
    repeat: int = 1
    stride: FrozenDict[str, int] | None = None


class ThreadSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps in one order; belongs to a process (`actor`) or to a CPU (`cpu`), never both."""

    name: str
    actor: int | None = None
    cpu: int | None = None
    steps: tuple[Step, ...] = ()


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Setup in order, then threads in any order, then finally in order.

    Attributes:
        name: For people and file names.
        about: One sentence.
        machine: What it runs on.
        kernels: What `stress` runs it on when told nothing else.
        with_: Defects switched on.
        without: Defects switched off.
        expect: By kernel: `ok`, a verdict, or an invariant such as `J-Q1`.
        setup: Runs alone; all of a vector or stream.
        threads: Run concurrently.
        finally_: Runs alone, after the threads.
        tag: Of a vector: `main`, `danger` or `huge`.
        verdict: Of a vector whose last step never returned: `livelock`, `deadlock` or `oops`.
        pinned_pages_leaked: Of a vector: still pinned when all is closed and gone.
    """

    name: str
    about: str = ""
    machine: MachineSpec = MachineSpec()
    kernels: tuple[str, ...] = ()
    with_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    expect: FrozenDict[str, str] = FrozenDict()
    setup: tuple[Step, ...] = ()
    threads: tuple[ThreadSpec, ...] = ()
    finally_: tuple[Step, ...] = ()
    tag: str | None = None
    verdict: str | None = None
    pinned_pages_leaked: int | None = None


class VectorFile(msgspec.Struct, frozen=True):
    """Vectors recorded from one kernel on one machine.

    Attributes:
        file: The file as the caller named it.
        generation: The emulator's kernel that must reproduce it.
        kernel: The recorded kernel, in words.
        machine: Shared by all its programs.
        pinned_counts: `v1+v2`, or `v2` where pins of v1 mappings do not show.
        programs: One a vector.
    """

    file: str
    generation: str
    kernel: str
    machine: MachineSpec
    pinned_counts: str
    programs: tuple[Program, ...]


class Stream(msgspec.Struct, frozen=True):
    """What one real client sent, as a program of one total order.

    Attributes:
        file: The file as the caller named it.
        program: The rows as steps; descriptors carry the client's object names.
        calls: How many calls the rows stand for.
        threads: How many threads the client had.
        backing_shift: Page shift of the client's memory: 21 for 2 MiB hugetlb, else the kernel's.
    """

    file: str
    program: Program
    calls: int
    threads: int
    backing_shift: int


def resolve_value(value: Any, regions: Any, page_size: int) -> Any:
    """An `Address` as a number, anything else unchanged."""
    return resolve(value, regions, page_size) if isinstance(value, Address) else value
