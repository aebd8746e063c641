from hw.levels import LevelMap


def test_levels_appear_from_the_top() -> None:
    levels = LevelMap(bits=2, levels=3)
    assert levels.missing_depth(5) == 1
    assert levels.install(5, 1) == (0, 16)
    assert levels.missing_depth(5) == 2
    assert levels.install(5, 2) == (4, 4)
    assert [levels.missing_depth(i) for i in (4, 7, 8, 16)] == [0, 0, 2, 1]
    assert levels.first_missing(4, 4) is None
    assert levels.first_missing(5, 6) == 8
    assert levels.ensure(5, 1) == 0


def test_an_upper_level_takes_the_lower_ones_with_it() -> None:
    levels = LevelMap(bits=2, levels=3)
    assert levels.ensure(0, 20) == 2 + 5
    assert levels.install(3, 1) == (0, 16)
    assert levels.missing_depth(3) == 2
    assert levels.missing_depth(16) == 0
    assert levels.ensure(0, 20) == 4


def test_ensure_counts_only_what_was_missing() -> None:
    levels = LevelMap(bits=9, levels=2)
    assert levels.ensure(511, 2) == 2
    assert levels.ensure(0, 1024) == 0
