"""The rules of a company's calls: its own lists of numbers hold for transfers, too.

Its voice, with key and prompt, is what its calls' processes are told of it.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.calls.answers import IncomingCall
from gateway.calls.metadata import CallCompany
from gateway.calls.rules import CallRules
from gateway.store.companies import Companies
from gateway.store.company import Speech
from shared.messages import VoiceAccount


def rules_by_company(rules: CallRules, companies: Companies) -> Callable[[IncomingCall], CallRules]:
    """Return what tells the rules of a call, from memory."""

    def rules_of(it: IncomingCall) -> CallRules:
        company = company_of(it, companies)
        if company is None:
            return rules
        numbers = rules.numbers.narrowed(*companies.lists_of(company))
        told = told_of(company, companies.voice_of(company))
        return replace(rules, numbers=numbers, company=told)

    return rules_of


def company_of(it: IncomingCall, companies: Companies) -> int | None:
    """Return whose call it is, from memory."""
    if it.placed is not None:
        return it.placed.company
    return companies.company_of(it.account_sid, it.own_number)


def told_of(company: int, speech: Speech | None) -> CallCompany:
    """Return what the process of a company's call is told of the company."""
    if speech is None:
        return CallCompany(company)
    named = {
        "model": speech.model,
        "voice": speech.voice,
        "first_speaker": speech.first_speaker,
    }
    chosen = {name: text for name, text in named.items() if text}
    said = {"system_prompt": speech.system_prompt, **chosen} if speech.system_prompt else chosen
    key, url = speech.key, base_of(speech.url or "")
    voice = VoiceAccount(key, url) if key is not None else None
    return CallCompany(company, said, voice, chosen)


def base_of(url: str) -> str:
    """Return the API's base of a company's address, which may name the page that makes calls."""
    return url.rstrip("/").removesuffix("/calls").removesuffix("/api")
