"""By which accounts at Ultravox a call, or a company, may be asked about.

A company's calls are made with its own key, from its speech settings, all others with
``ULTRAVOX_API_KEY``; that one is also tried where a company's key does not know a call.
"""

from gateway.dialer.company_rules import base_of
from gateway.store.companies import Companies, NoCompanyError
from gateway.store.secrets import SecretError
from gateway.ultravox.rest import URL, Access


class Accounts:
    """The operator's account, if there is one, and companies'."""

    def __init__(self, url: str | None, key: str | None, companies: Companies) -> None:
        self._url, self._companies = url or URL, companies
        self._own = Access(self._url, key) if key else None

    async def of_call(self, company: int | None) -> list[Access]:
        """Return who may know a call of a company's, or of nobody's. Raises ``StoreError``."""
        theirs = await self.of_company(company) if company is not None else None
        return [it for it in (theirs, self._own) if it is not None]

    async def of_company(self, company: int) -> Access | None:
        """Return a company's own, ``None`` if it has none. Raises ``StoreError``."""
        try:
            speech = await self._companies.speech(company)
        except (NoCompanyError, SecretError):
            return None
        if not speech.key or not _is_key(speech.key):
            return None
        if speech.url is None:
            return Access(self._url, speech.key)
        return Access(base_of(speech.url), speech.key, trusted=False)


def _is_key(text: str) -> bool:
    return text.isascii() and text.isprintable()
