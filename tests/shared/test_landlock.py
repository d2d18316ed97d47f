from shared.landlock import landlock_abi


def test_the_answer_is_an_abi_or_none() -> None:
    assert 0 <= landlock_abi() < 100
