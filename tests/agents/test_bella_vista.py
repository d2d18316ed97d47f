from typing import Any

import pytest

from agents.bella_vista import HOURS, SPECIALS, Dialogue, Then, slots_in


class Script:
    """A conversation that reads as one: ``>>`` is what was heard, ``<<`` part of the answer."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        self.text = ""
        self.then = Then.LISTEN

    def __rshift__(self, heard: str) -> "Script":
        reply = Dialogue(self.state).reply(heard)
        self.text, self.then = reply.text, reply.then
        return self

    def __lshift__(self, part: str | Then) -> "Script":
        if isinstance(part, Then):
            assert self.then is part
        else:
            assert part in self.text, self.text
        return self


BOOKING = {"people": 4, "day": "friday", "time": "19:30", "name": "Miller"}


def booked() -> Script:
    return (
        Script()
        >> "i would like to book a table for four on friday at half past seven"
        >> "miller"
        >> "yes"
    )


def test_a_booking_is_asked_for_slot_by_slot() -> None:
    script = (
        Script()
        >> "hello i would like to book a table please"
        << "how many people"
        >> "for four people"
        << "which day"
        >> "on friday"
        << "what time"
        >> "at half past seven"
        << "What name"
        >> "my name is miller"
        << "a table for 4 on Friday at 7 30 in the name of Miller. Is that right?"
        >> "yes please"
        << "booked"
    )
    assert script.state["booking"] == BOOKING
    assert "draft" not in script.state


def test_what_was_said_is_not_asked_for_again() -> None:
    script = (
        Script()
        >> "can i book a table for two tomorrow at eight o'clock"
        << "What name"
        >> "smith"
        << "a table for 2 tomorrow at 8 o'clock in the name of Smith"
    )
    assert "booking" not in script.state


def test_a_booking_can_be_corrected_before_it_is_confirmed() -> None:
    script = (
        Script({"draft": dict(BOOKING)})
        >> "no"
        << "What shall I change? So far I have a table for 4"
        >> "for five"
        << "a table for 5 on Friday"
        >> "no that's wrong at quarter to eight"
        << "at 7 45"
        >> "that's right"
        << "booked"
    )
    assert script.state["booking"] == BOOKING | {"people": 5, "time": "19:45"}


def test_the_restaurant_is_closed_on_mondays() -> None:
    script = (
        Script()
        >> "book a table for two on monday at six o'clock"
        << "closed on Mondays"
        >> "tuesday"
        << "What name"
        >> "are you open on monday"
        << "closed on Mondays"
    )
    assert script.state["draft"] == {"people": 2, "time": "18:00", "day": "tuesday"}


def test_a_question_in_between_leads_back_to_the_booking() -> None:
    (
        Script()
        >> "i'd like to book a table for two"
        << "which day"
        >> "when are you open"
        << HOURS
        << "which day"
        >> "what are the specials"
        << SPECIALS
        << "which day"
    )


def test_questions_alone_end_with_an_offer_and_yes_takes_it() -> None:
    (
        Script()
        >> "what are your opening hours"
        << HOURS
        << "Would you like to book"
        >> "yes please"
        << "how many people"
    )


def test_a_goodbye_hangs_up_and_remembers_the_day() -> None:
    Script() >> "thank you goodbye" << "Goodbye!" << Then.HANG_UP
    booked() >> "goodbye" << "See you on Friday" << Then.HANG_UP
    booked() >> "no thank you" << "See you on Friday" << Then.HANG_UP


def test_whoever_wants_a_human_gets_one() -> None:
    Script() >> "can i talk to a person please" << "manager" << Then.TRANSFER


def test_not_understanding_helps_more_each_time_and_then_hands_over() -> None:
    script = (
        Script()
        >> ""
        << "Sorry, I did not understand."
        << Then.LISTEN
        >> ""
        << "You can book a table"
        << Then.LISTEN
        >> ""
        << "put you through"
        << Then.TRANSFER
    )
    assert script.state["unclear"] == 0


def test_an_understood_answer_starts_the_count_again() -> None:
    Script() >> "" >> "" >> "hello" >> "" << "Sorry, I did not understand." << Then.LISTEN


def test_the_open_question_is_repeated_when_the_answer_was_unclear() -> None:
    Script() >> "book a table for six" >> "" << "did not understand. For which day?"


def test_it_says_again_what_it_said_last() -> None:
    Script() >> "sorry" << "How can I help you?"
    Script() >> "when are you open" >> "" >> "please repeat that" << HOURS


def test_what_makes_no_sense_at_this_point_is_unclear() -> None:
    Script() >> "correct" << "did not understand"
    booked() >> "yes" << "did not understand"
    Script({"draft": {"people": 2}}) >> "yes" << "did not understand" << "which day"


def test_a_conversation_goes_on_from_its_state_alone() -> None:
    first = Script() >> "book a table for four on friday" << "what time"
    second = Script(dict(first.state)) >> "seven" << "What name"
    assert second.state["draft"] == {"people": 4, "day": "friday", "time": "19:00"}


@pytest.mark.parametrize(
    ("heard", "slots"),
    [
        ("for twelve people please", {"people": 12}),
        ("two", {"people": 2}),
        ("tonight at nine o'clock", {"day": "tonight", "time": "21:00"}),
        ("sunday at six forty five", {"day": "sunday", "time": "18:45"}),
        ("quarter past ten", {"time": "22:15"}),
        ("quarter to six", {"time": "17:45"}),
        ("at seven", {"time": "19:00"}),
        ("the name is wilson", {"name": "Wilson"}),
        ("what are the specials", {}),
        ("", {}),
    ],
)
def test_slots_are_found_in_what_was_heard(heard: str, slots: dict[str, Any]) -> None:
    assert slots_in(heard) == slots


def test_a_bare_number_answers_what_was_asked() -> None:
    assert slots_in("eight please", asked="time") == {"time": "20:00"}
    assert slots_in("eight please", asked="people") == {"people": 8}
