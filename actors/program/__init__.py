"""Programs: what runs on the emulator, as values, and the files they are read from."""

from actors.program.address import Address, parse_address, parse_size, resolve, spell
from actors.program.check import places
from actors.program.codec import (
    check_program,
    digest,
    dump_program,
    load,
    load_program,
    load_programs,
    load_stream,
    load_vectors,
    parse_exact,
    parse_program,
    save_program,
)
from actors.program.errors import ProgramError, Refusal, not_read, not_written
from actors.program.ops import OPS, allowed_results, arguments, regions_of
from actors.program.programs import write_program
from actors.program.steps import read_step, write_step
from actors.program.streams import builtin_streams, expand
from actors.program.values import (
    FrozenDict,
    MachineSpec,
    Observed,
    Program,
    Step,
    Stream,
    ThreadSpec,
    VectorFile,
)

__all__ = [
    "OPS",
    "Address",
    "FrozenDict",
    "MachineSpec",
    "Observed",
    "Program",
    "ProgramError",
    "Refusal",
    "Step",
    "Stream",
    "ThreadSpec",
    "VectorFile",
    "allowed_results",
    "arguments",
    "builtin_streams",
    "check_program",
    "digest",
    "dump_program",
    "expand",
    "load",
    "load_program",
    "load_programs",
    "load_stream",
    "load_vectors",
    "not_read",
    "not_written",
    "parse_address",
    "parse_exact",
    "parse_program",
    "parse_size",
    "places",
    "read_step",
    "regions_of",
    "resolve",
    "save_program",
    "spell",
    "write_program",
    "write_step",
]
