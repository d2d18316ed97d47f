import pytest

from shared.log_level import LogLevel, log_level


@pytest.mark.parametrize("level", LogLevel)
def test_every_level_is_found_by_its_own_name_in_any_case(level: LogLevel) -> None:
    assert log_level(f" {level.upper()} ") is level


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"debug, .*emerg"):
        log_level("trace")
