"""The sequential model of VFIO core, beside the machine's."""

from __future__ import annotations

import pytest

from actors.kernel.uapi import INT, VFIO_GROUP_SET_CONTAINER, UserPointer
from actors.program import read_step
from tests.actors.linear.replay import run, twins


@pytest.mark.parametrize("kernel", ["v4.10", "v4.19", "v6.12", "fixed"])
def test_set_container_of_odd_descriptors(kernel: str) -> None:
    lab, model = twins(kernel)
    opened = {"op": "open", "path": "/dev/vfio/vfio", "fd": "C0"}
    group = {"op": "open", "path": "/dev/vfio/<group>", "fd": "G0"}
    answers: list[list[int | None]] = []
    for execution, carry in ((lab.execution, lab._run), (model, run)):
        for step in (opened, group):
            assert carry(execution.step(read_step({"actor": 0, **step}))).ret == 0
        answers.append([])
        # The group joins the container with the fourth, and has one from then on.
        for number in (77, -1, 4, 3, 77, -1, 4, 3):
            data = UserPointer(bytearray(INT.pack(number)))
            answers[-1].append(carry(execution.ioctl(0, "G0", VFIO_GROUP_SET_CONTAINER, data)).ret)
    assert answers[0] == answers[1]
    assert answers[0][3] == 0
