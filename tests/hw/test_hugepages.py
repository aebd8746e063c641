import pytest

from hw.frames import Zone
from hw.hugepages import HugePool


def test_lowest_page_first_then_last_returned() -> None:
    pool = HugePool(Zone(512, 1024, 16), count=64, pages_each=16)
    assert pool.free[-1] == 512
    head = pool.free.pop()
    pool.alive[head] = 16
    pool.release(list(range(head, head + 15)))
    assert pool.alive == {head: 1}
    pool.release([head + 15])
    assert pool.alive == {} and pool.free[-1] == head


def test_a_frame_of_a_free_page_cannot_die() -> None:
    with pytest.raises(KeyError):
        HugePool(Zone(512, 1024, 16), 64, 16).release([512])
