"""What the replaced systems promise of calls, records and webhooks, each with its tests.

Rows that need none are in `NOT_NEEDED`, with what the guide says of them; where the systems
contradict themselves or each other, `DECIDED` has what was decided.
"""

import importlib
import json
import re
import ssl
from dataclasses import replace
from typing import Any

import pytest

from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.sdk import Account
from gateway.carriers.twilio.voice_paths import VOICE_PATHS
from gateway.outbox.audience import Subscribers
from gateway.outbox.courier import Courier
from gateway.outbox.dialling import Lines
from gateway.outbox.first_message import AskedFirstMessages
from shared import messages
from tests.fakes.n8n import Answer, N8nFake
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer
from tests.gateway.calls.actors import SID, incoming
from tests.gateway.webhook_desk import VOICE, desk
from tests.harness import ROOT
from worker.call_info import CallInfo
from worker.testing import ScriptedLLM, Talk, calls

GUIDE = ROOT / "docs" / "coming-from-others.md"

_HERE = "gateway.test_replaced_systems"
_ROWS, _ROUTES = "gateway.api.test_replaced_rows", "e2e.test_replaced_routes"
_DIRECT, _OUTBOUND, _HOOKS = "e2e.test_ultravox_direct", "e2e.test_outbound", "e2e.test_webhooks"
_PHRASES = "gateway.carriers.twilio.test_phrases"
_APP, _DOOR, _CALL = "gateway.test_app", "gateway.test_tool_door", "gateway.calls.test_call"
_ELSEWHERE, _REQUESTS = "gateway.calls.test_elsewhere", "gateway.calls.test_requests"
_REGISTRY, _COMPANIES = "gateway.calls.test_registry", "gateway.store.test_companies"
_FIRST, _EVENT = "gateway.outbox.test_first_message", "gateway.outbox.test_event"
_OUTBOX, _REPORTS = "gateway.outbox.test_outbox", "gateway.outbox.test_reports"
_SCHEDULE, _CALL_ME = "gateway.outbox.test_schedule", "gateway.dialer.test_call_me"
_DIALER, _NUMBERS = "gateway.dialer.test_dialer", "gateway.dialer.test_numbers"
_REST, _CARRIER = "gateway.carriers.twilio.test_rest", "gateway.recording.test_carrier"
_RECORDING, _CLIPS = "e2e.test_recording", "gateway.recording.test_api"
_RUNNER, _SCHEDULER = "gateway.campaigns.test_runner", "gateway.campaigns.test_scheduler"
_POLICY, _SERVICE = "gateway.campaigns.test_policy", "gateway.campaigns.test_service"
_HOURS, _LEADS = "gateway.campaigns.test_hours", "gateway.campaigns.test_lead_file"
_TOKENS, _API = "gateway.api.test_tokens", "gateway.api.test_api"
_DIALOG, _SESSION = "worker.test_dialog_rows", "worker.test_session"
_SETTINGS, _NOVA = "shared.settings.test_loading", "worker.stt.test_deepgram"
_TOLD, _FETCHED = "gateway.ultravox.test_events", "gateway.ultravox.test_transcripts"
_FLOWS, _BULK = "e2e.test_replaced_flows", "e2e.test_replaced_bulk"
_STARTS, _TRANSCRIPTS = "worker.test_recording", "gateway.carriers.twilio.test_webhooks"

ROWS: dict[str, list[tuple[str, str]]] = {
    "Vs09": [
        (_APP, "test_every_alias_of_the_voice_webhook_connects_a_stream"),
        (_ELSEWHERE, "test_a_call_is_found_by_its_conversation_as_long_as_it_lives"),
        (_DIRECT, "test_a_caller_is_greeted_answered_and_helped_by_a_tool_that_runs_here"),
    ],
    "Vs09b": [
        (_DOOR, "test_the_webhook_joins_the_service_under_its_name_and_escaped"),
        (_DIRECT, "test_a_service_that_refuses_is_apologised_for_once_and_in_words"),
        (_APP, "test_a_bug_of_ours_is_an_apology_and_never_an_error_page"),
    ],
    "Vs10": [
        (_ROWS, "test_a_call_goes_to_the_default_destination_by_either_of_its_names"),
        (
            _ROUTES,
            "test_a_live_call_is_listed_and_transferred_by_its_sid_as_ultravoxs_example_does",
        ),
    ],
    "Vs13": [(_SETTINGS, "test_one_destination_without_a_name_is_the_default_one")],
    "Vs11": [(_ROWS, "test_a_call_that_nobody_knows_is_500_in_the_examples_words")],
    "Vs12": [(_ROWS, "test_a_call_is_listed_by_the_id_that_ultravox_gave_it_until_it_ends")],
    "Xs01": [
        (_FLOWS, "test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once"),
        (_HERE, "test_a_caller_without_a_number_is_unknown_to_whom_is_asked_for_the_first_message"),
        (_HERE, "test_a_call_without_a_number_is_taken_under_voxflows_path"),
        (_HOOKS, "test_the_caller_hears_what_the_operators_service_says_first"),
        ("worker.test_first_message", "test_a_speech_model_is_told_it_and_not_before"),
        ("worker.test_direct", "test_the_service_is_told_what_the_operators_own_would_say_first"),
    ],
    "Xs06": [
        (_FLOWS, "test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once"),
        (_HOOKS, "test_a_call_is_told_of_signed_from_beginning_to_end"),
        (_HOOKS, "test_a_call_whose_process_died_is_told_of"),
        (_REPORTS, "test_a_whole_call_is_told_of_twice"),
        (_DIRECT, "test_a_service_that_hangs_up_ends_the_call"),
        (_CALL, "test_whatever_happens_in_whatever_order_a_call_ends_once_and_leaves_nothing_open"),
    ],
    "Xc04": [
        (_OUTBOUND, "test_the_route_of_the_replaced_system_has_its_bodies"),
        (_APP, "test_the_replaced_status_path_answers_in_its_own_words"),
        (_HERE, "test_every_status_of_a_call_is_taken_under_voxflows_path"),
        (_DIALER, "test_a_call_is_placed_with_all_it_needs"),
        (_OUTBOUND, "test_what_is_to_be_said_first_is_said_by_an_agent_that_has_a_first_message"),
    ],
    "Xc07": [
        (_FLOWS, "test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once"),
        (_FLOWS, "test_a_flow_that_is_switched_off_costs_its_words_and_no_transcript"),
        (_FIRST, "test_the_question_is_voxflows_and_says_more"),
        (_FIRST, "test_what_a_service_answers_is_said_if_it_can_be"),
        (_FIRST, "test_when_it_fails_the_agent_says_its_own_and_it_is_asked_once"),
        (_HOOKS, "test_a_service_that_is_slow_costs_its_limit_and_no_more"),
    ],
    "Xc08": [
        (_FLOWS, "test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once"),
        (_EVENT, "test_voxflows_flows_get_what_they_got"),
        (_EVENT, "test_voxflows_flows_get_a_transcript_once"),
        (_REPORTS, "test_a_call_that_died_with_its_gateway_is_told_of_once"),
        (_HERE, "test_the_guides_agent_books_by_n8n"),
        (_HERE, "test_the_guides_agent_is_sorry_when_n8n_makes_no_sense"),
    ],
    "Xc09": [
        (_SCHEDULE, "test_all_else_is_tried_again_for_a_day"),
        (_OUTBOX, "test_a_failure_is_tried_again_with_the_same_key"),
        (_REPORTS, "test_what_an_agent_emits_is_durable_when_it_knows"),
    ],
    "Xc10": [
        (_EVENT, "test_voxflows_signature_is_over_the_body_alone"),
        (_FLOWS, "test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once"),
    ],
    "Ns03a": [(_CALL_ME, "test_the_form_is_a_page_that_needs_nothing_else")],
    "Ns03b": [
        (_OUTBOUND, "test_the_page_is_open_to_the_network_with_its_token_alone"),
        (_OUTBOUND, "test_a_callee_who_answers_is_greeted_by_the_agent_that_was_ordered"),
    ],
    "Ns03c": [
        (_CALL_ME, "test_an_unconfigured_gateway_says_what_to_set"),
        (_CALL_ME, "test_what_cannot_be_called_is_told_on_the_page_and_in_json"),
    ],
    "Ns04a": [(_APP, "test_health_says_that_the_gateway_lives_whatever_the_farm_does")],
    "Ns04b": [(_CLIPS, "test_a_recording_is_given_out_whole_and_in_parts")],
    "Ds32a": [(_REST, "test_a_transcription_takes_both_tracks_with_deepgram_and_is_stopped")],
    "Ds32b": [(_REST, "test_a_recording_is_started_stopped_and_deleted")],
    "Ds32c": [
        (_HERE, "test_what_was_never_recorded_can_be_stopped_and_deleted_without_harm"),
        (_REST, "test_a_recording_is_started_stopped_and_deleted"),
        (_REST, "test_a_recording_that_is_over_is_not_stopped_again"),
    ],
    "Ds32d": [
        (_REQUESTS, "test_the_process_hears_which_recording_the_carrier_has_begun_and_deleted"),
        (_CARRIER, "test_a_deleted_recording_takes_our_copy_with_it"),
    ],
    "Ds32e": [
        (_CALL, "test_a_hang_up_closes_the_stream_and_is_answered_when_the_carrier_asks"),
        (_REGISTRY, "test_the_end_of_a_call_takes_its_tokens_with_it"),
    ],
    "Ds42a": [
        (_CARRIER, "test_a_complete_recording_is_fetched_with_credentials_for_twilio_alone"),
        (_DIALOG, "test_a_model_is_told_what_to_be_first_of_all_if_it_is_told_anything"),
        (_DIALOG, "test_a_greeting_that_must_be_heard_is_not_cut_and_is_remembered"),
    ],
    "Ds42b": [
        (_DIALOG, "test_the_carrier_records_and_transcribes_as_soon_as_the_stream_is_open"),
        (_STARTS, "test_the_carriers_recording_and_transcription_begin_at_the_same_moment"),
    ],
    "Ds42c": [
        (_CARRIER, "test_a_recording_is_completed_without_a_callback_once_its_call_is_over"),
        (_CALL, "test_a_process_that_outlives_its_call_is_killed"),
    ],
    "Ds42d": [(_DIALOG, "test_what_is_known_of_a_call_is_merged_and_later_keys_win")],
    "Ds42e": [
        (_REQUESTS, "test_a_caller_who_is_passed_on_is_recorded_no_more"),
        (_SESSION, "test_what_comes_after_the_end_harms_nobody"),
    ],
    "Dc05": [
        (_APP, "test_callbacks_about_unknown_calls_are_taken_in_silence"),
        (_SESSION, "test_what_the_carrier_reports_reaches_the_agent"),
        (
            _RECORDING,
            "test_the_carriers_recording_and_transcript_are_kept_when_the_call_is_long_over",
        ),
    ],
    "Dc12": [
        (_HERE, "test_what_was_never_recorded_can_be_stopped_and_deleted_without_harm"),
        (_REST, "test_a_recording_is_started_stopped_and_deleted"),
        (_REST, "test_a_recording_that_is_over_is_not_stopped_again"),
    ],
    "Dc20": [
        (_CARRIER, "test_a_complete_recording_is_fetched_with_credentials_for_twilio_alone"),
        (_CARRIER, "test_a_recording_is_completed_without_a_callback_once_its_call_is_over"),
        (
            _RECORDING,
            "test_the_carriers_recording_and_transcript_are_kept_when_the_call_is_long_over",
        ),
        (_TRANSCRIPTS, "test_a_transcript_is_unpacked_from_its_json"),
    ],
    "Fc05": [
        (_TOLD, "test_the_end_of_a_call_is_received_however_often"),
        (_TOLD, "test_a_signed_body_that_is_no_event_is_refused_in_the_words_of_each"),
        (_FETCHED, "test_all_pages_of_all_stages_are_read"),
        (_FETCHED, "test_a_call_that_was_held_elsewhere_has_its_transcript_with_its_end"),
    ],
    "Fc08": [
        (_ROWS, "test_the_cookbooks_call_is_told_with_its_sid_masked"),
        (_ROWS, "test_the_cookbooks_transfer_has_its_bodies"),
        (_ROWS, "test_a_failure_of_ours_is_500_in_each_systems_words"),
        (_ROWS, "test_all_but_the_health_want_a_key_and_say_so_in_each_systems_words"),
        (_TOKENS, "test_a_token_may_come_as_bearer_or_as_api_key"),
    ],
    "Us01": [
        (_ROUTES, "test_a_call_is_initiated_for_a_company_and_its_settings_reach_the_agent"),
    ],
    "Us02": [
        (_ROUTES, "test_a_call_is_initiated_for_a_company_and_its_settings_reach_the_agent"),
        (_ROUTES, "test_what_cannot_be_called_is_refused_in_the_words_of_that_system"),
    ],
    "Us03": [
        (_ROUTES, "test_what_cannot_be_called_is_refused_in_the_words_of_that_system"),
        (_ROUTES, "test_a_companys_rows_have_their_fields_and_no_secret_is_given_out"),
    ],
    "Us04": [
        (_ROUTES, "test_a_companys_rows_have_their_fields_and_no_secret_is_given_out"),
        (_COMPANIES, "test_those_who_use_a_secret_get_it"),
        (_COMPANIES, "test_no_secret_is_in_the_database_in_clear"),
        (_DIALER, "test_a_company_calls_through_its_own_account_as_itself"),
    ],
    "Us05": [
        (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
        (_ROUTES, "test_calls_that_take_their_time_are_a_job_that_tells_how_they_fare"),
    ],
    "Us06a": [
        (_BULK, "test_each_number_has_a_conversation_of_its_own_made_of_the_companys_settings"),
        (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
        (_SCHEDULER, "test_a_sequential_campaign_begins_no_call_before_the_last_one_ended"),
        (_RUNNER, "test_a_sequential_campaign_calls_one_after_the_other_in_order"),
        (_ROUTES, "test_a_call_that_is_canceled_has_ended_and_the_next_one_is_made"),
    ],
    "Us06b": [
        (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
    ],
    "Us06c": [
        (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
        (_RUNNER, "test_a_number_that_the_carrier_refuses_fails_and_the_next_is_called"),
    ],
    "Us06d": [
        (_BULK, "test_each_number_has_a_conversation_of_its_own_made_of_the_companys_settings"),
        (_ROUTES, "test_a_call_is_initiated_for_a_company_and_its_settings_reach_the_agent"),
        (_SERVICE, "test_variables_agent_and_limits_reach_the_call"),
        (_HERE, "test_the_guides_agent_is_what_its_company_says"),
    ],
    "Us07": [
        (_ROUTES, "test_what_cannot_be_called_is_refused_in_the_words_of_that_system"),
        (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
    ],
    "Us08": [(_RUNNER, "test_a_concurrent_campaign_has_as_many_calls_at_a_time_as_it_may")],
    "Us09a": [
        (_RUNNER, "test_a_call_that_is_too_long_is_ended_by_us"),
        (_ROUTES, "test_a_call_that_is_canceled_has_ended_and_the_next_one_is_made"),
    ],
    "Us09b": [
        (
            _RUNNER,
            "test_somebody_who_answered_and_was_not_served_is_called_again_and_counts_as_failed",
        ),
        ("e2e.test_campaign", "test_a_spreadsheet_is_called_and_reported_row_by_row"),
    ],
    "Us09c": [
        (_RUNNER, "test_lost_callbacks_are_made_up_for_by_asking"),
        (
            "gateway.campaigns.test_flight",
            "test_a_call_that_is_too_long_is_ended_by_us_again_and_again_until_it_is",
        ),
    ],
    "Us10": [
        (_LEADS, "test_rows_with_too_many_cells_and_rounded_numbers_are_bad"),
        (_HOURS, "test_the_clock_is_the_callees"),
        (_API, "test_nothing_is_told_or_done_without_the_token"),
    ],
}
"""Of each promise, the tests that show it."""

NOT_NEEDED = {
    "Vs16": "scaled by n8n's queue mode",
    "Ns04b": "`GET /audio/:id.wav`, 8 kHz, open to everybody | not here, since",
}
"""Promises that mean nothing here, or something else, with where the guide says so."""

DECIDED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "T06": (
        "nothing waits for a callback",
        [(_CARRIER, "test_nobody_waits_for_ever_for_what_nobody_can_tell")],
    ),
    "T18": ("the language of the ears", [(_NOVA, "test_the_query_is_what_the_settings_say")]),
    "T19": ("a `+` in `?to=+49…`", [(_CALL_ME, "test_a_link_calls_whatever_became_of_its_plus")]),
    "T20": (
        "an `https` address for the socket",
        [
            (_APP, "test_every_alias_of_the_voice_webhook_connects_a_stream"),
            (_SETTINGS, "test_an_alias_is_read_and_named_as_the_source"),
        ],
    ),
    "T21": (
        "a greeting by TwiML and by the agent",
        [
            (_APP, "test_every_alias_of_the_voice_webhook_connects_a_stream"),
            (_SESSION, "test_a_reconnected_stream_starts_again_without_a_second_greeting"),
        ],
    ),
    "T22": (
        "`destinationNumber` is left out",
        [(_ROUTES, "test_what_cannot_be_called_is_refused_in_the_words_of_that_system")],
    ),
    "T23": (
        "how many results a list has",
        [(_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order")],
    ),
    "T24": (
        "voices (`terrence`",
        [(_ROUTES, "test_a_companys_rows_have_their_fields_and_no_secret_is_given_out")],
    ),
    "T25": (
        "A company without an Ultravox row is no error",
        [
            (_ROUTES, "test_what_cannot_be_called_is_refused_in_the_words_of_that_system"),
            (_ROUTES, "test_many_are_called_one_after_the_other_and_each_has_its_result_in_order"),
        ],
    ),
    "T26": (
        "ports, paths, voices, temperatures differ",
        [
            (_APP, "test_every_alias_of_the_voice_webhook_connects_a_stream"),
            (_PHRASES, "test_each_sentence_has_a_setting"),
        ],
    ),
    "T27": (
        "open webhooks and routes",
        [
            (_APP, "test_an_unsigned_webhook_is_400_and_a_badly_signed_one_403"),
            (_API, "test_nothing_is_told_or_done_without_the_token"),
            (_OUTBOUND, "test_the_route_of_the_replaced_system_has_its_bodies"),
        ],
    ),
}
"""Of each contradiction, the guide's words for what was decided, and the tests that show it."""


@pytest.mark.parametrize("row", [*ROWS, *DECIDED])
def test_every_row_names_tests_that_exist(row: str) -> None:
    named = ROWS[row] if row in ROWS else DECIDED[row][1]
    assert named
    for module, test in named:
        assert hasattr(importlib.import_module(f"tests.{module}"), test), test


@pytest.mark.parametrize("row", [*NOT_NEEDED, *DECIDED])
def test_what_is_different_on_purpose_is_in_the_guide(row: str) -> None:
    said = NOT_NEEDED[row] if row in NOT_NEEDED else DECIDED[row][0]
    assert said in GUIDE.read_text()


def test_the_guide_names_every_path_of_the_voice_webhook() -> None:
    text = GUIDE.read_text()
    assert [path for path in VOICE_PATHS if f"`{path}`" not in text] == []


# Dialog ----------------------------------------------------------------------------------------


async def test_what_was_never_recorded_can_be_stopped_and_deleted_without_harm() -> None:
    async with TwilioRestServer() as twilio:
        rest = TwilioRest(Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url))
        call = twilio.account.add_call()
        leg = TwilioLeg(call.sid, Origin.parse("https://example.com"), rest, None)
        await leg.stop_recording()
        await leg.stop_transcription()
        assert await leg.delete_recording() == ""
        assert twilio.requests == []
        await leg.start_recording()
        await leg.stop_recording()
        (recording,) = twilio.account.recordings.values()
        assert (recording.call_sid, recording.status) == (call.sid, "stopped")
        await rest.aclose()


# VoxFlow ---------------------------------------------------------------------------------------


async def test_a_call_without_a_number_is_taken_under_voxflows_path() -> None:
    front = desk()
    fields = {name: value for name, value in VOICE.items() if name != "From"}
    answer = await front.signed("/incoming-call", fields)
    assert (answer.status_code, "<Stream" in answer.text) == (200, True)
    metadata = front.farm.workers[0].heard[1]
    assert isinstance(metadata, messages.Metadata)
    assert (metadata.call_sid, metadata.from_) == (SID, "")
    front.farm.close()


async def test_every_status_of_a_call_is_taken_under_voxflows_path() -> None:
    front = desk()
    await front.signed("/incoming-call")
    for status in ("initiated", "ringing", "answered", "in-progress", "completed", "canceled"):
        answer = await front.signed("/call-status", VOICE | {"CallStatus": status})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [it for it in front.calls.views() if not it.ended] == []
    front.farm.close()


async def test_a_caller_without_a_number_is_unknown_to_whom_is_asked_for_the_first_message() -> (
    None
):
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(body=b'{"firstMessage": "Hello, whoever you are."}')
        courier = Courier(Lines(ssl.create_default_context()))
        url = f"{n8n.url}/webhook/calls"
        asking = AskedFirstMessages(courier, Subscribers([]), lambda *_: None, url, 2.0)
        question = asking.ask(replace(incoming(), from_=""))
        assert question is not None
        told: list[messages.Event] = []
        await question.tell(told.append)
        await courier.aclose()
        assert told == [messages.FirstMessage("Hello, whoever you are.")]
        asked = n8n.received[0].json
    assert (asked["route"], asked["number"], asked["data"]) == ("1", "Unknown", "empty")


def _guides_agents() -> dict[str, Any]:
    """Run the guide's examples, as an agents folder would."""
    names: dict[str, Any] = {"__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(block, names)  # the guide is ours
    return names


BOOKING = {
    "name": "Ada",
    "email": "ada@example.com",
    "purpose": "tea",
    "at": "tomorrow at four",
    "location": "Berlin",
}


async def test_the_guides_agent_books_by_n8n(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = _guides_agents()["Sara"]
    model = ScriptedLLM(
        calls("schedule_meeting", **BOOKING),
        "It is booked.",
        calls("schedule_meeting", **BOOKING | {"location": "Atlantis"}),
        "We are in Berlin and Hamburg.",
    )
    info = CallInfo("CA1", from_="+493012345678")
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(body=b'{"message": "Booked for four."}')
        monkeypatch.setenv("AGENT_N8N_URL", f"{n8n.url}/webhook/calls")
        async with Talk(agent, llm=model, info=info) as talk:
            assert talk.greeting == "Hey, this is Sara. How can I assist you today?"
            await talk.say("Book it")
            assert talk.expect_tool("schedule_meeting").outcome == "Booked for four."
            await talk.say("In Atlantis")
        (asked,) = [it.json for it in n8n.received]
    assert (asked["route"], asked["number"]) == ("3", "+493012345678")
    assert json.loads(asked["data"]) == {
        "name": "Ada",
        "email": "ada@example.com",
        "purpose": "tea",
        "datetime": "tomorrow at four",
        "calendar_id": "cal-1",
    }


@pytest.mark.parametrize(
    "answer", [Answer(body=b"Workflow was started"), Answer(body=b"{}"), Answer(500)], ids=str
)
async def test_the_guides_agent_is_sorry_when_n8n_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    names = _guides_agents()
    model = ScriptedLLM(calls("schedule_meeting", **BOOKING), "I am sorry.")
    async with N8nFake() as n8n:
        n8n.otherwise = answer
        monkeypatch.setenv("AGENT_N8N_URL", f"{n8n.url}/webhook/calls")
        async with Talk(names["Sara"], llm=model) as talk:
            assert talk.greeting == "Hey, this is Sara. How can I assist you today?"
            await talk.say("Book it")
            assert talk.expect_tool("schedule_meeting").outcome == names["SORRY"]


# Ultravox Call Routes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "told"),
    [({"system_prompt": "You are Steve."}, "You are Steve."), ({}, "You are a friendly")],
)
async def test_the_guides_agent_is_what_its_company_says(
    variables: dict[str, str], told: str
) -> None:
    agent, model = _guides_agents()["Front"], ScriptedLLM("Hello.")
    info = CallInfo("CA1", from_="+1", variables=variables)
    async with Talk(agent, llm=model, info=info) as talk:
        await talk.say("Hello?")
    assert told in model.instructions
