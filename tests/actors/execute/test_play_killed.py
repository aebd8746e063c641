"""A killed client is a program whose setup plays fast and whose endings can be explored."""

from __future__ import annotations

from actors.execute.play import killed_client, play_setup
from actors.execute.play.session import Drawn, PlayRuntime, Session
from actors.machine import Machine
from actors.program import (
    Step,
    builtin_streams,
    check_program,
    load_stream,
    parse_exact,
    write_program,
)

STREAMS = builtin_streams()


def test_it_is_a_program_that_can_be_written_and_read() -> None:
    program = killed_client(load_stream(STREAMS["qemu-memory-hotplug"]), 30, borrow=(1, 2))
    check_program(program)
    assert parse_exact(write_program(program)) == program
    assert program.machine.cpus == 3
    assert [thread.name for thread in program.threads] == ["kill", "client"]
    assert [(step.op, step.cpu) for step in program.finally_] == [("run", 1), ("run", 2)]


def test_a_row_is_cut_where_the_kill_comes() -> None:
    whole = load_stream(STREAMS["qemu-nvme-ddw"])
    program = killed_client(whole, 1000)
    (unmap,) = [step for step in program.setup if step.op == "unmap"]
    before = sum(step.repeat for step in program.setup if step.call) - unmap.repeat
    assert before + unmap.repeat == 1000
    (client,) = [thread for thread in program.threads if thread.name == "client"]
    assert client.steps[0].iova is not None
    assert client.steps[0].iova.offset == unmap.repeat * 4096
    assert client.steps[0].repeat == 1


def test_without_a_call_in_flight() -> None:
    stream = load_stream(STREAMS["qemu-two-groups"])
    assert len(killed_client(stream, 20, in_flight=False).threads) == 1
    assert len(killed_client(stream, stream.calls).threads) == 1


def test_the_setup_is_played_once_and_many_endings_follow() -> None:
    session = play_setup(killed_client(load_stream(STREAMS["qemu-two-groups"]), 35))
    assert session.remains().pinned_pages == 131072
    snapshot = session.machine.snapshot()
    for seed in range(3):
        core = PlayRuntime(Drawn(seed))
        copy = Session(core, Machine.restore(core, snapshot))
        copy.execution.take_over(session.execution)
        copy.run(copy.execution.step(Step(op="abort", target=0)))
        copy.settle()
        assert copy.remains()._replace(mms=0) == (0,) * 7
    assert session.remains().pinned_pages == 131072
