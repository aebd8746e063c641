import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import low_bit_shift
from hw.units import align_up, is_power_of_two


@given(st.integers(0, 1 << 64), st.integers(0, 40))
def test_alignment_agrees_with_division(value: int, shift: int) -> None:
    size = 1 << shift
    assert align_up(value, size) == -(-value // size) * size


def test_powers_of_two() -> None:
    assert [n for n in range(-4, 20) if is_power_of_two(n)] == [1, 2, 4, 8, 16]


def test_low_bit_shift() -> None:
    assert [low_bit_shift(n) for n in (1, 6, 8, 1 << 59)] == [0, 1, 3, 59]
    with pytest.raises(ValueError, match="zero"):
        low_bit_shift(0)
