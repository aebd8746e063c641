"""Every recorded vector loads, and nothing recorded is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from actors.program import Program, ProgramError, VectorFile, load, load_vectors, parse_exact, write_program

VECTORS = Path(__file__).parents[2] / "conformance" / "vectors"
FILES = sorted(VECTORS.glob("*.json"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def small(**changes: Any) -> dict[str, Any]:
    """A file of one vector with one step; `vector` and `step` change those."""
    step = {
        "actor": 0,
        "op": "opennull",
        "fd": "C0",
        "ret": 0,
        "errno": None,
        "vmlck_kb": 0,
        "pinned_pages": 0,
    }
    step |= changes.pop("step", {})
    vector = {"name": "v", "tag": "main", "steps": [step], "pinned_pages_leaked": 0, "klog": []}
    vector |= changes.pop("vector", {})
    head = {"format": "vfio-spapr-vectors", "version": 1, "generation": "v6.12", "page_size": 4096}
    return {**head, "vectors": [vector], **changes}


def read(tmp_path: Path, raw: object) -> VectorFile:
    (tmp_path / "v.json").write_text(json.dumps(raw))
    return load_vectors(tmp_path / "v.json")


def test_there_are_vectors() -> None:
    assert len(FILES) == 12


def test_every_vector_loads(path: Path) -> None:
    raw, loaded = json.loads(path.read_text()), load_vectors(path)
    assert loaded == load(path)
    assert (loaded.generation, loaded.pinned_counts) == (raw["generation"], raw["pinned_counts"])
    assert (loaded.machine.platform, loaded.machine.mmu) == (raw["machine"], raw["mmu"])
    assert loaded.machine.hugepages == raw["hugepages"]
    assert loaded.machine.groups == 2
    for vector, program in zip(raw["vectors"], loaded.programs, strict=True):
        assert_same(vector, program)


def assert_same(vector: dict[str, Any], program: Program) -> None:
    assert (program.name, program.tag, program.verdict) == (
        vector["name"],
        vector["tag"],
        vector.get("verdict"),
    )
    assert program.pinned_pages_leaked == vector["pinned_pages_leaked"]
    assert not program.threads
    for raw, step in zip(vector["steps"], program.setup, strict=True):
        assert step.ret == (None if raw["ret"] is None else (raw["ret"],))
        assert step.observed is not None
        assert step.observed.out == raw.get("out")
        assert step.observed.vmlck_kb == raw.get("vmlck_kb")
        every = raw.get("vmlck_kb_all_actors")
        assert step.observed.vmlck_kb_all_actors == (
            every and {int(actor): kb for actor, kb in every.items()}
        )


def test_a_vector_survives_being_written(path: Path) -> None:
    for program in load_vectors(path).programs:
        assert parse_exact(write_program(program)) == program


def test_loading_is_quick() -> None:
    path = max(FILES, key=lambda each: each.stat().st_size)
    start = time.perf_counter()
    load_vectors(path)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    "step",
    [
        {"op": "cloexec", "fd": "C0"},
        {"op": "mprotect", "addr": "M0", "size": 4096, "prot": "r"},
        {"op": "mprotect", "addr": "M0", "size": 4096, "prot": ""},
        {"op": "madvise", "addr": "M0", "size": 4096, "advice": "dontneed"},
        {"op": "madvise", "addr": "M0", "size": 4096, "advice": -1},
        {"op": "madvise", "addr": "M0", "size": 4096, "advice": 0xFFFFFFFF},
        {"op": "open", "path": "/dev/vfio/1", "fd": "G1"},
        {"op": "open", "path": "", "fd": "G1"},
        {"op": "abort", "target": 0},
        {"op": "memfree", "approx": {"memfree_delta_mib": -15}},
        {"op": "exit", "vmlck_kb": None, "vmpin_kb": None, "vmlck_kb_all_actors": {"0": None}},
        {"op": "reg", "fd": "C0", "vaddr": "M9", "size": 0, "ioctl": "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"},
    ],
)
def test_what_other_recordings_may_hold(step: dict[str, Any], tmp_path: Path) -> None:
    raw = small()
    raw["vectors"][0]["steps"] = [{"actor": 0, "ret": None, **step}]
    assert read(tmp_path, raw).programs[0].setup[0].op == step["op"]


def test_unknown_keys_are_commentary(tmp_path: Path) -> None:
    said = {"note": "", "size": "of no use here"}
    raw = small(cpus=1, vector={"comment": ["x"]}, step=said)
    assert read(tmp_path, raw) == read(tmp_path, small())


def test_paths_that_were_opened_survive_being_written(tmp_path: Path) -> None:
    program = read(tmp_path, small(step={"op": "open", "path": "/dev/vfio/999"})).programs[0]
    assert program.setup[0].path == "/dev/vfio/999"
    assert parse_exact(write_program(program)) == program


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"format": "x"}, "format: found 'x', expected vfio-spapr-vectors"),
    ({"version": 2}, "version: found 2, expected 1"),
    ({"version": True}, "version: found true, expected 1"),
    ({"page_size": 3}, "page_size: found 3, expected 4096 or 65536"),
    ({"page_size": "4096"}, "page_size: found '4096', expected 4096 or 65536"),
    ({"pinned_counts": "v3"}, "pinned_counts: found 'v3', expected v1+v2 or v2"),
    (
        {"dma32_window": [4096, 1 << 31]},
        "dma32_window: found an array of 2, expected [0, the number of bytes]",
    ),
    ({"dma32_window": [0, -1]}, "dma32_window[1]: found -1, expected a size"),
    ({"memory_bytes": -1}, "memory_bytes: found -1, expected a size"),
    ({"machine": "x86"}, "machine: found 'x86', expected powernv9 or powernv8"),
    ({"hugepages": {"17M": 1}}, "hugepages.17M: found '17M', expected a huge page size"),
    ({"vectors": {}}, "vectors: found an object of 0, expected an array"),
    ({"vectors": [1]}, "vectors[0]: found 1, expected an object"),
    ({"vector": {"verdict": "ok"}}, "vectors[0].verdict: found 'ok', expected livelock or deadlock or oops"),
    ({"vector": {"name": ""}}, "vectors[0].name: found '', expected a name on one line"),
    ({"step": {"op": "fly"}}, "vectors[0].steps[0].op: found 'fly', expected one of abort, api"),
    ({"step": {"op": "run"}}, "vectors[0].steps[0].op: 'run' does not occur in recorded vectors"),
    ({"step": {"op": ["open"]}}, "vectors[0].steps[0].op: found an array of 1, expected one of"),
    ({"step": {"op": None}}, "vectors[0].steps[0].op: missing, expected an operation"),
    ({"step": {"actor": -1}}, "vectors[0].steps[0].actor: found -1, expected 0 to 1023"),
    ({"step": {"actor": "0"}}, "vectors[0].steps[0].actor: found '0', expected 0 to 1023"),
    ({"step": {"ret": "0"}}, "vectors[0].steps[0].ret: found '0', expected a whole number"),
    ({"step": {"ret": 1 << 70}}, f"vectors[0].steps[0].ret: found {1 << 70}, expected a whole number"),
    ({"step": {"pinned_pages": 0.5}}, "vectors[0].steps[0].pinned_pages: found 0.5, expected a whole number"),
    (
        {"step": {"vmlck_kb_all_actors": {"x": 1}}},
        "vectors[0].steps[0].vmlck_kb_all_actors.x: found 'x', expected",
    ),
    ({"step": {"out": {"flags": "1"}}}, "vectors[0].steps[0].out.flags: found '1', expected a whole number"),
    ({"step": {"op": "open", "path": 7}}, "vectors[0].steps[0].path: found 7, expected a path"),
    (
        {"step": {"op": "madvise", "addr": "M0", "size": 1, "advice": 1 << 32}},
        "vectors[0].steps[0].advice: found 4294967296, expected a whole number",
    ),
    (
        {"step": {"op": "mprotect", "addr": "M0", "size": 1, "prot": "x"}},
        "vectors[0].steps[0].prot: found 'x', expected none or r or w or rw",
    ),
    ({"step": {"fd": None}}, "vectors[0].steps[0].fd: found null, expected a name"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as caught:
        read(tmp_path, small(**changes))
    assert str(caught.value).startswith(f"{tmp_path / 'v.json'}: {message}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["format", "version", "generation", "page_size", "vectors"])
def test_missing_keys_of_the_file(key: str, tmp_path: Path) -> None:
    raw = small()
    del raw[key]
    with pytest.raises(ProgramError, match=f"v.json: {key}: missing"):
        read(tmp_path, raw)


@pytest.mark.parametrize("key", ["actor", "op", "fd", "ret"])
def test_missing_keys_of_a_step(key: str, tmp_path: Path) -> None:
    raw = small()
    del raw["vectors"][0]["steps"][0][key]
    with pytest.raises(ProgramError) as caught:
        read(tmp_path, raw)
    assert caught.value.place == f"vectors[0].steps[0].{key}"
    assert caught.value.message.startswith("missing")
