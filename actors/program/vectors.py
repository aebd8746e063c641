"""Vectors recorded from real kernels (format `vfio-spapr-vectors`, version 1).

Regions need not be mapped and descriptors need not be open there: what the kernel answers
to such a call is just what was recorded. Keys that nobody here knows are commentary of the recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.program import fields as f
from actors.program.errors import refuse
from actors.program.fields import Reader
from actors.program.programs import MACHINE, RECORDED_VERDICTS, require_format
from actors.program.steps import read_vector_step
from actors.program.values import MachineSpec, Program, Step, VectorFile

FORMAT = "vfio-spapr-vectors"
GROUPS = 2  # Two devices are bound to vfio-pci on every recorded machine.


def _window(value: object) -> int:
    start, size = value if isinstance(value, list) and len(value) == 2 else (None, 0)
    if start != 0:
        raise refuse(value, "[0, the number of bytes]")
    return f.inside(MACHINE["dma32_window_size"], size, 1)  # type: ignore[no-any-return]


_VECTOR: Mapping[str, Reader] = {
    "name": f.title,
    "tag": f.title,
    "steps": f.array(read_vector_step),
    "pinned_pages_leaked": f.optional(f.result),
    "klog": f.anything,
    "verdict": f.optional(f.one_of(*RECORDED_VERDICTS)),
}
_FILE: Mapping[str, Reader] = {
    "format": f.anything,
    "version": f.anything,
    "generation": f.title,
    "kernel": f.prose,
    "machine": MACHINE["platform"],
    "mmu": MACHINE["mmu"],
    "page_size": MACHINE["page_size"],
    "memory_bytes": MACHINE["memory_bytes"],
    "dma32_window": _window,
    "pinned_counts": f.one_of("v1+v2", "v2"),
    "hugepages": MACHINE["hugepages"],
    "vectors": f.anything,
}
_REQUIRED = ("generation", "page_size", "vectors")


def read_vectors(raw: object, file: str) -> VectorFile:
    """A file of vectors from JSON values.

    Raises:
        Refusal: With the path of the offending field.
    """
    require_format(raw, FORMAT)
    values = f.record(raw, _FILE, _REQUIRED, strict=False)
    machine, generation = _machine(values), values["generation"]
    vectors = f.array(lambda each: _program(each, machine, generation))
    return VectorFile(
        file=file,
        generation=generation,
        kernel=values.get("kernel", ""),
        machine=machine,
        pinned_counts=values.get("pinned_counts", "v1+v2"),
        programs=f.inside(vectors, values["vectors"], "vectors"),
    )


_MACHINE_KEYS = {"machine": "platform", "dma32_window": "dma32_window_size"}


def _machine(values: Mapping[str, Any]) -> MachineSpec:
    """The machine in a program's words."""
    words = {_MACHINE_KEYS.get(key, key): value for key, value in values.items()}
    return MachineSpec(groups=GROUPS, **{key: words[key] for key in MACHINE if key in words})


def _program(raw: object, machine: MachineSpec, generation: str) -> Program:
    values = f.record(raw, _VECTOR, ("name", "steps"), strict=False)
    steps: tuple[Step, ...] = values["steps"]
    return Program(
        name=values["name"],
        machine=machine,
        kernels=(generation,),
        setup=steps,
        tag=values.get("tag"),
        verdict=values.get("verdict"),
        pinned_pages_leaked=values.get("pinned_pages_leaked"),
    )
