import pickle

import pytest

from hw import (
    BadGeometry,
    EntryOutsideTable,
    FreeOfPinnedFrame,
    HardwareError,
    LevelMissing,
    MisalignedAddress,
    NoSuchFrame,
    NoView,
    OutOfFrames,
    PageAlreadyMapped,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)

EVERY = [
    PinUnderflow(0x101, 1, 2, "region:0"),
    PinUnderflow(-1, 1, 2, "region:0"),
    ReferenceUnderflow(0x101, 1, 2),
    FreeOfPinnedFrame(0x101, 2, 1),
    UseOfFreedFrame(0x101, "pinned"),
    NoSuchFrame(7),
    OutOfFrames(9, 3),
    PageAlreadyMapped(0x1000),
    EntryOutsideTable(512, 2, 513),
    LevelMissing(7),
    LevelMissing(7, view=True),
    NoView(),
    MisalignedAddress(0x1001, 12),
    BadGeometry(3, 12, 1),
]


@pytest.mark.parametrize("error", EVERY, ids=lambda e: type(e).__name__)
def test_every_error_is_one_line_and_pickles(error: HardwareError) -> None:
    assert isinstance(error, HardwareError)
    assert "\n" not in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, str(copy), vars(copy)) == (
        type(error),
        error.args,
        str(error),
        vars(error),
    )


def test_every_subclass_is_covered() -> None:
    assert {type(error) for error in EVERY} == set(HardwareError.__subclasses__())


def test_messages_carry_the_numbers() -> None:
    assert str(PinUnderflow(0x101, 1, 2, "region:0")) == "frame 0x101 has 1 pins, region:0 drops 2"
    assert str(OutOfFrames(9, 3)) == "9 frames requested, 3 free"
