"""The voices of the fake Ultravox' account, and how it lists them.

Source: its OpenAPI document, ``voices_list``, ``Voice`` and ``PaginatedVoiceList``. How it searches
is not documented: here each word is looked for in name and description.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes.ultravox_checks import BadBodyError

_KNOWN = {
    *("billingStyle", "cursor", "ownership", "pageSize", "primaryLanguage", "provider", "search"),
}
_USUAL = 100


def voice(name: str, language: str, description: str, ownership: str = "public") -> dict[str, Any]:
    """Return a voice as the API shows it."""
    voice_id = f"00000000-0000-4000-8000-{sum(map(ord, name)):012d}"
    return {
        "voiceId": voice_id,
        "name": name,
        "description": description,
        "primaryLanguage": language,
        "languageLabel": language,
        "previewUrl": f"https://api.ultravox.ai/api/voices/{voice_id}/preview",
        "ownership": ownership,
        "billingStyle": "VOICE_BILLING_STYLE_INCLUDED",
        "provider": "inworld",
        "definition": {"inworld": {"voiceId": name}},
    }


VOICES = (
    voice("Mark", "en-US", "American English, male"),
    voice("Jessica", "en-US", "American English, female"),
    voice("Steve-English-Australian", "en-AU", "Australian English, male"),
    voice("Greta", "de-DE", "German, female"),
    voice("Our-Own", "de-DE", "Cloned", "private"),
)


async def voices_page(request: web.Request, voices: Sequence[dict[str, Any]]) -> web.Response:
    """Answer with a page of those that are wanted."""
    query = request.query
    for name in query:
        if name not in _KNOWN:
            raise BadBodyError(name, "is no filter")
    if query.get("ownership", "public") not in ("public", "private"):
        raise BadBodyError("ownership", "is none of private, public")
    for name in ("ownership", "primaryLanguage", "search"):
        if name in query and not query[name]:
            raise BadBodyError(name, "may not be blank")
    try:
        size, start = int(query.get("pageSize", _USUAL)), int(query.get("cursor", "0"))
    except ValueError:
        raise BadBodyError("cursor", "is none of ours") from None
    found = [it for it in voices if _is_wanted(it, query)]
    page = {
        "next": _address(request, start + size) if start + size < len(found) else None,
        "previous": _address(request, max(start - size, 0)) if start else None,
        "total": len(found),
        "results": found[start : start + size],
    }
    return web.json_response(page)


def _is_wanted(it: dict[str, Any], query: Any) -> bool:
    text = f"{it['name']} {it['description']}".lower()
    language = query.get("primaryLanguage", "").partition("-")[0]
    return (
        it["ownership"] == query.get("ownership", it["ownership"])
        and it["primaryLanguage"].startswith(language)
        and all(word in text for word in query.get("search", "").lower().split())
    )


def _address(request: web.Request, cursor: int) -> str:
    query = {**request.query, "cursor": str(cursor)}
    return f"{request.url.origin()}{request.path}?{urlencode(query)}"
