"""What is written is read back: over generated programs of every kind."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.program import (
    OPS,
    Address,
    FrozenDict,
    MachineSpec,
    Observed,
    Program,
    Step,
    ThreadSpec,
    check_program,
    digest,
    dump_program,
    load_program,
    parse_exact,
    parse_program,
    save_program,
)
from actors.program.ops import ALL_OPS

FDS = ("C0", "C1", "G0", "G1", "D0")
REGIONS = ("M0", "M1")
TITLES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
U32 = st.integers(0, (1 << 32) - 1)
NUMBERS = st.builds(Address, st.none(), st.integers(0, 1 << 60), st.just(0))
SIZES = NUMBERS | st.builds(Address, st.none(), st.integers(1, 1 << 60), st.integers(1, 1 << 30))
PLACES = st.builds(
    Address, st.sampled_from(REGIONS), st.integers(-(1 << 40), 1 << 40), st.integers(0, 1 << 20)
)
HEX = st.binary(max_size=8).map(bytes.hex)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "path": st.sampled_from(["/dev/vfio/vfio", "/dev/vfio/<group>"]),
    "fd": st.sampled_from(FDS),
    "newfd": st.sampled_from(FDS),
    "group_index": st.integers(0, 1),
    "container": st.sampled_from([*FDS, "-1"]),
    "device": st.just("0000:ff:00.0"),
    "addr": PLACES,
    "vaddr": PLACES | NUMBERS,
    "iova": SIZES,
    "size": SIZES.filter(lambda size: size != Address()),
    "prot": st.sampled_from(["none", "r", "w", "rw"]),
    "mmap_flags": st.sampled_from([(), ("shared",), ("force",), ("shared", "memfd")]),
    "hshift": st.none(),
    "file": st.just("/tmp/f0"),
    "advice": st.sampled_from(["dontneed", 4]),
    "limit": SIZES,
    "window_size": SIZES,
    "start_addr": SIZES,
    "start_addr_in": SIZES,
    "nr_offset": st.integers(0, 255),
    "bad_user_pointer": st.booleans(),
    "new_actor": st.just(1),
    "target": st.integers(0, 0),
    "task": st.sampled_from(["actor:0", "kthread:kworker/1:0", "idle"]),
    "group": st.integers(0, 1),
    "write": st.booleans(),
    "data": HEX,
}
RESULTS = st.none() | st.lists(st.integers(-200, 200), min_size=1, max_size=3).map(tuple)
STRIDE = FrozenDict({"iova": 4096})
ERRNOS = st.none() | st.lists(st.sampled_from(["EBUSY", "ENOMEM"]), min_size=1, max_size=2).map(tuple)


@st.composite
def steps(draw: st.DrawFn, ops: frozenset[str], **owner: int) -> Step:
    """One step of the operations, its optional fields there or not."""
    op = draw(st.sampled_from(sorted(ops)))
    spec = OPS[op]
    values = {name: draw(VALUES.get(name, U32)) for name in spec.required}
    values |= {name: draw(st.none() | VALUES.get(name, U32)) for name in spec.optional}
    return Step(op=op, **owner, **values, ret=draw(RESULTS), errno=draw(ERRNOS))


def prologue() -> tuple[Step, ...]:
    """Give every name that `steps` uses."""
    opened = tuple(Step(op="opennull", actor=0, fd=fd) for fd in FDS)
    size = Address(None, 0, 16)
    mapped = tuple(Step(op="mmap", actor=0, addr=Address(name), size=size, prot="rw") for name in REGIONS)
    return opened + mapped


PROCESS = frozenset(op for op, spec in OPS.items() if spec.who == "process") - {"fork", "clonevm"}
MACHINE = frozenset({"dma", "rcu"})


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program that `check_program` takes."""
    setup = draw(st.lists(steps(PROCESS | {"abort"}, actor=0), max_size=4))
    by_actor = st.lists(steps(PROCESS | MACHINE), max_size=4).map(tuple)
    by_cpu = st.lists(steps(MACHINE | {"run"}), max_size=4).map(tuple)
    return Program(
        name=draw(TITLES),
        about=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        machine=draw(machines()),
        kernels=tuple(draw(st.lists(TITLES, max_size=2))),
        with_=tuple(draw(st.lists(st.sampled_from(["a", "b"]), max_size=2))),
        without=tuple(draw(st.lists(st.sampled_from(["c", "d"]), max_size=2))),
        expect=FrozenDict(draw(st.dictionaries(TITLES, st.sampled_from(["ok", "oops", "J-Q1"]), max_size=2))),
        setup=(*prologue(), *setup),
        threads=(
            ThreadSpec("qemu", actor=0, steps=draw(by_actor)),
            ThreadSpec("swapper", cpu=1, steps=draw(by_cpu)),
        ),
        finally_=tuple(draw(st.lists(steps(frozenset({"run"}), cpu=1), max_size=2))),
    )


def machines() -> st.SearchStrategy[MachineSpec]:
    """Any machine with two CPUs and two groups at least."""
    return st.builds(
        MachineSpec,
        page_size=st.sampled_from([4096, 65536]),
        cpus=st.integers(2, 4),
        groups=st.integers(2, 4),
        platform=st.sampled_from(["powernv9", "powernv8"]),
        mmu=st.sampled_from(["radix", "hash"]),
        hugepages=st.sampled_from([FrozenDict(), FrozenDict({"16M": 20}), FrozenDict({"2M": 4, "1G": 1})]),
        rlimit_memlock=st.none() | st.integers(0, 1 << 40),
    )


@st.composite
def exact_programs(draw: st.DrawFn) -> Program:
    """A program of any kind: streams, vectors, whatever a `Step` can hold."""
    kilobytes = st.none() | st.integers(0, 1 << 40)
    observed = st.builds(
        Observed,
        ret=st.none() | st.integers(-200, 200),
        out=st.none() | st.just(FrozenDict({"ddw.levels": 5, "ddw_bytes_untouched": True})),
        vmlck_kb=kilobytes,
        vmlck_kb_all_actors=st.none() | st.just(FrozenDict({0: 256, 1: 0})),
        pinned_pages=kilobytes,
    )
    return Program(
        name=draw(TITLES),
        setup=(
            *tuple(draw(st.lists(steps(ALL_OPS, actor=0, thread=1), max_size=6))),
            Step(op="memfree", actor=0, call="pread", observed=draw(observed)),
            Step(
                op="unmap",
                fd="C0",
                iova=Address(),
                size=Address(None, 1),
                repeat=draw(U32) + 1,
                stride=STRIDE,
            ),
        ),
        tag=draw(st.none() | st.just("main")),
        verdict=draw(st.none() | st.just("oops")),
        pinned_pages_leaked=draw(st.none() | st.integers(0, 9)),
    )


@settings(deadline=None, derandomize=True)
@given(programs())
def test_a_program_is_read_back(program: Program) -> None:
    check_program(program)
    dumped = dump_program(program)
    back = parse_program(json.loads(dumped))
    assert back == program
    assert dump_program(back) == dumped
    assert digest(back) == digest(program)


@settings(deadline=None, derandomize=True)
@given(exact_programs())
def test_any_program_is_read_back_exactly(program: Program) -> None:
    assert parse_exact(json.loads(dump_program(program))) == program


@settings(deadline=None, derandomize=True, max_examples=30)
@given(programs())
def test_programs_pickle_and_hash(program: Program) -> None:
    copy = pickle.loads(pickle.dumps(program))
    assert copy == program
    assert hash(copy) == hash(program)


def test_a_program_is_saved_one_step_a_line(tmp_path: Path) -> None:
    program = Program("p", setup=prologue(), threads=(ThreadSpec("a", actor=0, steps=(Step("exit"),)),))
    save_program(program, tmp_path / "p.json")
    assert load_program(tmp_path / "p.json") == program
    lines = (tmp_path / "p.json").read_text().splitlines()
    assert '    {"actor": 0, "op": "opennull", "fd": "C0"},' in lines
    assert all(line.count('"op"') <= 1 for line in lines)


def test_digests_differ_where_programs_do() -> None:
    one, other = Program("p", setup=prologue()), Program("p", setup=prologue()[1:])
    assert digest(one) != digest(other)
    assert digest(one) == digest(Program("p", setup=prologue()))
