import pytest

from phone.settings import HangUpStep, PhoneSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss", 1.5),
        ("loss", -0.1),
        ("verb_speed", 0),
        ("jitter_ms", -1),
        ("hang_up_order", (HangUpStep.CLOSE, HangUpStep.STOP)),
        ("hang_up_order", (HangUpStep.STOP, HangUpStep.STOP)),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        PhoneSettings(**{name: value})  # type: ignore[arg-type]
