import pytest

from phone.overrides import ConnectionOverrides, OverrideError, parse_overrides


def test_without_a_fragment_a_connection_failure_is_retried_once() -> None:
    overrides = parse_overrides("")
    assert overrides == ConnectionOverrides()
    assert overrides.retries == 1
    assert overrides.retries_on("ct")
    assert not overrides.retries_on("5xx")


def test_every_override_is_read() -> None:
    overrides = parse_overrides("rc=3&rp=ct,rt,5xx&rt=4000&ct=200&tt=9000&e=dublin&sni=n")
    assert overrides == ConnectionOverrides(200, 4000, 9000, 3, frozenset({"ct", "rt", "5xx"}))


def test_all_means_every_reason() -> None:
    assert parse_overrides("rp=all").retries_on("4xx")


@pytest.mark.parametrize("fragment", ["rc=6", "rc=x", "rt=99", "ct=10001", "rp=often", "rt="])
def test_a_value_out_of_range_is_refused_with_the_range(fragment: str) -> None:
    with pytest.raises(OverrideError, match="use "):
        parse_overrides(fragment)
