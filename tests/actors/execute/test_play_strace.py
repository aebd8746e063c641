"""A raw strace log is read as far as it goes, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.execute.play import from_strace, play
from actors.program import ProgramError, check_program

LOG = """\
4242  execve("/usr/bin/client", 0x7ffc, 0x7ffc) = 0
4242  openat(0xffffff9c, "/etc/ld.so.cache", 0x80000) = 3
4242  close(3)                          = 0
4242  openat(0xffffff9c, "/dev/vfio/vfio", 0x2) = 3
4242  ioctl(3, 0x3b64, 0)               = 0
4242  ioctl(3, 0x3b65, 0x7)             = 0x1
4242  openat(0xffffff9c, "/dev/vfio/7", 0x2) = 4
4242  ioctl(4, 0x3b67, 0x7ffe11)        = 0
4242  ioctl(4, 0x3b68, 0x7ffe11)        = 0
4243  12:00:00.000001 ioctl(3, 0x3b66, 0x7 <unfinished ...>
4242  close(9)                          = -1 EBADF (Bad file descriptor)
4243  12:00:00.000002 <... ioctl resumed>) = 0
4242  ioctl(3</dev/vfio/vfio>, 0x20003b75, 0x7ffe11) = 0
4242  ioctl(3, 0x3b71, 0x7ffe11)        = -1 EINVAL (Invalid argument)
4242  ioctl(4, 0x3b6a, 0x7ffe11)        = 5
4242  ioctl(5, 0x3b6b, 0x7ffe11)        = 0
4242  ioctl(0, 0x5401, 0x7ffe11)        = -1 ENOTTY (Inappropriate ioctl for device)
4242  dup(4)                            = 6
4242  close(4)                          = 0
4242  close(6)                          = 0
4242  +++ killed by SIGKILL +++
"""


def test_a_log_becomes_a_stream_that_plays(tmp_path: Path) -> None:
    (tmp_path / "client.txt").write_text(LOG)
    stream = from_strace(tmp_path / "client.txt")
    check_program(stream.program)
    assert [step.op for step in stream.program.setup] == [
        *("open", "api", "chkext", "open", "status", "setcont", "setiommu", "devfd", "device", "release"),
    ]
    assert (stream.program.name, stream.calls, stream.threads) == ("client", 10, 2)
    assert stream.program.setup[6].iommu_type == 7
    result = play(stream)
    assert (result.differences, result.final.anything) == ((), False)


def test_what_a_raw_log_lacks_is_said(tmp_path: Path) -> None:
    (tmp_path / "client.txt").write_text(LOG)
    about = from_strace(tmp_path / "client.txt").program.about
    assert (
        "left out, because a raw log has no structs: "
        "VFIO_IOMMU_MAP_DMA x1, VFIO_IOMMU_SPAPR_REGISTER_MEMORY x1;" in about
    )
    assert about.endswith("taken to be meant by SET_CONTAINER: the container opened last")


@pytest.mark.parametrize("text", ["", "hello\n", "\x00\xff" * 50, '1 openat(-100, "/tmp/x", 0) = 3\n'])
def test_a_file_without_a_client_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(ProgramError, match="found no open of /dev/vfio, expected an strace log"):
        from_strace(tmp_path / "log")


def test_lines_cut_anywhere_never_crash(tmp_path: Path) -> None:
    for end in range(LOG.index("ioctl"), len(LOG), 7):
        (tmp_path / "log").write_text(LOG[:end])
        play(from_strace(tmp_path / "log"))
