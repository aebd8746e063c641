"""Concurrent programs: what is taken, and every refusal with its path."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from actors.program import MachineSpec, Program, ProgramError, Step, load_program, parse_program

Raw = dict[str, Any]

GOOD: Raw = {
    "format": "tcemu-program",
    "version": 1,
    "name": "exit-with-lazy-borrower",
    "about": "the process exits while a kernel thread still borrows its mm",
    "machine": {"page_size": 65536, "cpus": 2, "groups": 2},
    "kernels": ["v4.9", "fixed"],
    "expect": {"v4.9": "J-Q1", "fixed": "ok"},
    "with": ["a"],
    "without": ["b"],
    "setup": [
        {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
        {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
        {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
        {"actor": 0, "op": "mmap", "addr": "M0", "size": 1048576, "prot": "rw"},
        {"actor": 0, "op": "reg", "fd": "C0", "vaddr": "M0", "size": "16P"},
    ],
    "threads": [
        {"name": "qemu", "actor": 0, "steps": [{"op": "fork", "new_actor": 1}, {"op": "exit", "ret": 0}]},
        {"name": "child", "actor": 1, "steps": [{"op": "close", "fd": "C0", "errno": ["EBUSY"]}]},
        {
            "name": "kworker",
            "cpu": 1,
            "steps": [{"op": "run", "task": "actor:0"}, {"op": "abort", "target": 0}],
        },
        {
            "name": "device",
            "actor": 0,
            "steps": [{"op": "dma", "group": 0, "iova": 0, "size": 1}, {"op": "rcu"}],
        },
    ],
    "finally": [{"cpu": 1, "op": "run", "task": "idle"}],
}
MISSING = object()


def changed(path: tuple[str | int, ...], value: object) -> Raw:
    """The good program with the value put at the path, or taken away."""
    raw = copy.deepcopy(GOOD)
    inner: Any = raw
    for part in path[:-1]:
        inner = inner[part]
    if value is MISSING:
        del inner[path[-1]]
    elif isinstance(inner, list) and path[-1] == len(inner):
        inner.append(value)
    else:
        inner[path[-1]] = value
    return raw


def test_the_good_program(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(GOOD))
    program = load_program(tmp_path / "p.json")
    assert program.name == "exit-with-lazy-borrower"
    assert program.machine == MachineSpec(groups=2)
    assert program.threads[1].steps == (Step("close", fd="C0", errno=("EBUSY",)),)
    assert (program.with_, program.without) == (("a",), ("b",))
    assert program.finally_[0].cpu == 1


def test_the_smallest_program() -> None:
    raw = {"format": "tcemu-program", "version": 1, "name": "p", "setup": [], "threads": []}
    assert parse_program(raw) == Program("p")


def test_sizes_in_the_machine_may_be_text() -> None:
    raw = changed(
        ("machine",), {"groups": 2, "memory_bytes": "4G", "hugepages": {"16M": 20}, "rlimit_memlock": "1M"}
    )
    machine = parse_program(raw).machine
    assert (machine.memory_bytes, machine.rlimit_memlock) == (4 << 30, 1 << 20)
    assert machine.hugepage_pools == {24: 20}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("threads", 0, "steps", 1), {"op": "run", "task": "idle", "cpu": 0}),
        (("threads", 0, "steps", 1), {"op": "abort"}),
        (("threads", 0, "steps", 1), {"op": "exit", "actor": 0, "ioctl": "VFIO_X"}),
        (("threads", 2, "steps", 0), {"op": "run", "task": "actor:1", "cpu": 1}),
        (("threads", 0, "steps", 1), {"op": "setcont", "fd": "G0", "container": "-1"}),
        (("threads", 1, "steps", 0), {"op": "opennull", "fd": "N0"}),
        (("setup", 5), {"op": "rcu"}),
        (("finally", 0), {"op": "close", "actor": 1, "fd": "C0"}),
    ],
)
def test_what_else_is_taken(path: tuple[str | int, ...], value: object) -> None:
    parse_program(changed(path, value))


def test_a_thread_may_use_what_another_thread_opens() -> None:
    raw = changed(("threads", 1, "steps", 0), {"op": "close", "fd": "N0"})
    raw["threads"][0]["steps"].insert(0, {"op": "opennull", "fd": "N0"})
    parse_program(raw)


T0, T2 = ("threads", 0, "steps", 1), ("threads", 2, "steps", 0)
REFUSED: list[tuple[tuple[str | int, ...], object, str]] = [
    # the file
    (("format",), "vfio-spapr-vectors", "format: found 'vfio-spapr-vectors', expected tcemu-program"),
    (("format",), MISSING, "format: missing, expected tcemu-program"),
    (("version",), 2, "version: found 2, expected 1"),
    (("version",), 1.0, "version: found 1.0, expected 1"),
    (("name",), MISSING, "name: missing"),
    (("name",), "a\nb", r"name: found 'a\nb', expected a name on one line"),
    (("setup",), MISSING, "setup: missing"),
    (("threads",), {}, "threads: found an object of 0, expected an array"),
    (("colour",), 1, "colour: unknown key, expected one of format, version, name, about"),
    (("tag",), "main", "tag: unknown key"),
    (("kernels",), "v4.9", "kernels: found 'v4.9', expected an array"),
    (("kernels", 0), 4, "kernels[0]: found 4, expected a name"),
    (("expect", "v4.9"), "fine", "expect.v4.9: found 'fine', expected an invariant"),
    (("without", 0), "a", "without[0]: 'a' is also in `with`"),
    # the machine
    (("machine", "page_size"), 3, "machine.page_size: found 3, expected 4096 or 65536"),
    (("machine", "page_size"), True, "machine.page_size: found true, expected 4096 or 65536"),
    (("machine", "cpus"), 0, "machine.cpus: found 0, expected 1 to 64"),
    (("machine", "groups"), -1, "machine.groups: found -1, expected 1 to 64"),
    (("machine", "memory_bytes"), 1 << 64, f"machine.memory_bytes: found {1 << 64}, expected a size"),
    (("machine", "memory_bytes"), 5, "machine.memory_bytes: found 5, expected a multiple of 65536"),
    (("machine", "memory_bytes"), 1 << 500, "machine.memory_bytes: found a number of 501 bits, expected"),
    (("machine", "dma32_window_size"), "3G", "machine.dma32_window_size: found '3G', expected a power of"),
    (("machine", "dma32_window_size"), "8G", "machine.dma32_window_size: found '8G', expected a multiple of"),
    (("machine", "mmu"), "soft", "machine.mmu: found 'soft', expected radix or hash"),
    (("machine", "platform"), "pseries", "machine.platform: found 'pseries', expected powernv9 or powernv8"),
    (("machine", "hugepages"), {"16M": 1 << 20}, "machine.hugepages: found 17592186044416, expected pools"),
    (("machine", "hugepages"), {"x": 1}, "machine.hugepages.x: found 'x', expected a size"),
    (("machine", "ram"), 1, "machine.ram: unknown key"),
    # steps
    (("setup", 0, "op"), "fly", "setup[0].op: found 'fly', expected one of"),
    (("setup", 0, "op"), MISSING, "setup[0].op: missing, expected an operation"),
    (("setup", 0, "op"), "pread", "setup[0].op: 'pread' occurs only in recorded client streams"),
    (("setup", 0), "exit", "setup[0]: found 'exit', expected an object"),
    (("setup", 0, "fd"), MISSING, "setup[0].fd: missing"),
    (("setup", 0, "fd"), 3, "setup[0].fd: found 3, expected a name"),
    (("setup", 0, "path"), "/dev/null", "setup[0].path: found '/dev/null', expected /dev/vfio/vfio or"),
    (("setup", 0, "vmlck_kb"), 0, "setup[0].vmlck_kb: unknown key"),
    (("setup", 0, "observed"), {}, "setup[0].observed: unknown key"),
    (("setup", 3, "prot"), "rwx", "setup[3].prot: found 'rwx', expected none or r or w or rw"),
    (("setup", 3, "size"), 0, "setup[3].size: found 0, expected a size above 0"),
    (("setup", 3, "addr"), "M0*2", "setup[3].addr: found 'M0*2', expected an address"),
    (("setup", 3, "mmap_flags"), ["big"], "setup[3].mmap_flags[0]: found 'big', expected shared or"),
    (("setup", 3, "mmap_flags"), ["huge"], 'setup[3].hshift: belongs to mmap_flags "huge", and to no other'),
    (("setup", 3, "hshift"), 24, 'setup[3].hshift: belongs to mmap_flags "huge", and to no other'),
    (("setup", 4, "vaddr"), -1, "setup[4].vaddr: found -1, expected an address"),
    (("setup", 4, "vaddr"), "M9", "setup[4].vaddr: no step maps region 'M9' before this"),
    (("setup", 4, "size"), "M0", "setup[4].size: found 'M0', expected a size"),
    (("setup", 4, "size"), 1 << 64, f"setup[4].size: found {1 << 64}, expected a size"),
    (("setup", 4, "argsz"), 1 << 32, "setup[4].argsz: found 4294967296, expected a whole number"),
    (
        ("setup", 1, "group_index"),
        2,
        "setup[1].group_index: found 2, expected less than the machine's groups, 2",
    ),
    (("setup", 2, "container"), "C1", "setup[2].container: no step opens 'C1' before this"),
    (("setup", 2, "fd"), "G1", "setup[2].fd: no step opens 'G1' before this"),
    (("setup", 0, "actor"), MISSING, "setup[0].actor: missing, 'open' is done by a process"),
    (("setup", 0, "actor"), 1, "setup[0].actor: no step creates actor 1 before this"),
    (("setup", 0, "cpu"), 1, "setup[0].cpu: 'open' is done by a process, not by a CPU"),
    (("setup", 0, "ret"), [], "setup[0].ret: found an array of 0, expected at least one"),
    (("setup", 0, "errno"), "EWHAT", "setup[0].errno: found 'EWHAT', expected the name of an error"),
    # threads
    (("threads", 0, "steps", 0, "op"), "forck", "threads[0].steps[0].op: found 'forck', expected one of"),
    (("threads", 0, "name"), MISSING, "threads[0].name: missing"),
    (("threads", 0, "name"), "child", "threads[1].name: another thread is named 'child'"),
    (("threads", 0, "cpu"), 1, "threads[0]: found both, expected an actor or a cpu"),
    (("threads", 0, "actor"), MISSING, "threads[0]: found neither, expected an actor or a cpu"),
    (("threads", 0, "order"), 1, "threads[0].order: unknown key"),
    (("threads", 1, "actor"), 2, "threads[1].actor: no step creates actor 2"),
    (("threads", 2, "cpu"), 2, "threads[2].cpu: found 2, expected less than the machine's cpus, 2"),
    ((*T0,), {"op": "exit", "actor": 1}, "threads[0].steps[1].actor: found 1, but the thread is actor 0's"),
    ((*T0,), {"op": "run", "task": "idle"}, "threads[0].steps[1].cpu: missing, 'run' is done by a CPU"),
    ((*T0,), {"op": "fork", "new_actor": 0}, "threads[0].steps[1].new_actor: actor 0 exists already"),
    ((*T0,), {"op": "fork", "new_actor": 1}, "threads[0].steps[1].new_actor: actor 1 exists already"),
    ((*T0,), {"op": "close", "fd": "X"}, "threads[0].steps[1].fd: no step opens 'X'"),
    ((*T0,), {"op": "abort", "target": 5}, "threads[0].steps[1].target: no step creates actor 5"),
    (
        (*T0,),
        {"op": "rcu", "cpu": 7},
        "threads[0].steps[1].cpu: found 7, expected less than the machine's cpus",
    ),
    ((*T0,), {"op": "touch", "addr": "M1", "size": 1}, "threads[0].steps[1].addr: no step maps region 'M1'"),
    ((*T2,), {"op": "exit"}, "threads[2].steps[0].actor: missing, 'exit' is done by a process"),
    ((*T2,), {"op": "abort"}, "threads[2].steps[0].target: missing, no process stands here to be killed"),
    ((*T2,), {"op": "run", "task": "swapper"}, "threads[2].steps[0].task: found 'swapper', expected"),
    ((*T2,), {"op": "run", "task": "actor:9"}, "threads[2].steps[0].task: no step creates actor 9"),
    (
        (*T2,),
        {"op": "run", "cpu": 0, "task": "idle"},
        "threads[2].steps[0].cpu: found 0, but the thread is cpu 1's",
    ),
    (
        ("threads", 3, "steps", 0, "group"),
        2,
        "threads[3].steps[0].group: found 2, expected less than the machine's",
    ),
    (("threads", 3, "steps", 0, "size"), 0, "threads[3].steps[0].size: found 0, expected a size above 0"),
    (("threads", 3, "steps", 0, "write"), 1, "threads[3].steps[0].write: found 1, expected true or false"),
    # finally
    (("finally", 0, "cpu"), MISSING, "finally[0].cpu: missing, 'run' is done by a CPU"),
    (("finally", 0, "task"), MISSING, "finally[0].task: missing"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_refusals(path: tuple[str | int, ...], value: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(json.dumps(changed(path, value)))
    with pytest.raises(ProgramError) as caught:
        load_program(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert len(str(caught.value).splitlines()) == 1


def fork(actor: int, *new: int) -> Raw:
    return {
        "name": f"t{actor}",
        "actor": actor,
        "steps": [{"op": "fork", "new_actor": each} for each in new],
    }


def kill(target: int, before: Raw | None = None) -> Raw:
    steps = [{"op": "abort", "target": target}, *(before["steps"] if before else ())]
    return {"name": f"kill{target}", "actor": 0, "steps": steps}


@pytest.mark.parametrize(
    ("threads", "message"),
    [
        ([fork(1, 1)], "threads[0].actor: no step that can run creates actor 1"),
        ([fork(0, 3), fork(1, 2), fork(2, 1)], "threads[1].actor: no step that can run creates actor 1"),
        ([fork(0, 1), fork(5)], "threads[1].actor: no step that can run creates actor 5"),
        ([fork(2, 3), fork(3), fork(1, 2), fork(0, 1)], ""),
        ([kill(1), fork(0, 1)], ""),
        ([kill(0, fork(0, 1))], ""),
        ([kill(1, fork(0, 1))], "threads[0].steps[0].target: no step that can run creates actor 1"),
        (
            [kill(2, fork(0, 1)), fork(1, 2)],
            "threads[0].steps[0].target: no step that can run creates actor 2",
        ),
    ],
)
def test_creators_must_run(threads: list[Raw], message: str) -> None:
    raw = changed(("threads",), threads)
    if not message:
        assert len(parse_program(raw).threads) == len(threads)
        return
    with pytest.raises(ProgramError) as caught:
        parse_program(raw)
    assert f"{caught.value.place}: {caught.value.message}" == message


@pytest.mark.parametrize(
    ("kernel", "defect", "message"),
    [
        (lambda name: name != "v4.9", None, "kernels[0]: found 'v4.9', expected a known kernel"),
        (None, lambda name: name != "b", "without[0]: found 'b', expected a known defect"),
        (None, lambda name: name != "a", "with[0]: found 'a', expected a known defect"),
    ],
)
def test_unknown_kernels_and_defects(kernel: Any, defect: Any, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse_program(GOOD, "p", kernel, defect)
    assert str(caught.value) == f"p: {message}"


def test_an_unknown_kernel_in_expect() -> None:
    raw = changed(("expect", "v9"), "ok")
    with pytest.raises(ProgramError, match=r"expect\.v9: found 'v9', expected a known kernel"):
        parse_program(raw, "p", lambda name: name != "v9")


def test_a_vector_is_no_program() -> None:
    with pytest.raises(ProgramError, match="p: top level: found 3, expected an object"):
        parse_program(3, "p")
