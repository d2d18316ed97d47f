"""The gateway's HTTP application over a fake farm, and someone who signs as Twilio does."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import httpx2

from gateway.api import Api
from gateway.app import application
from gateway.calls.registry import Calls
from gateway.carriers.twilio.routes import TwilioOptions, TwilioRoutes
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.farm.farm import Farm
from gateway.throttle import Throttle
from tests.gateway.calls.actors import ACCOUNT, FALLBACK, SID, FakeFarm, office
from tests.gateway.carriers.twilio.signing import TOKEN, sign

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MOST_BODY = 20_000
VOICE = {"CallSid": SID, "AccountSid": ACCOUNT, "From": "+1", "To": "+2", "CallStatus": "ringing"}


@dataclass
class Desk:
    """The application, its calls and farm, and a client of it."""

    calls: Calls
    farm: FakeFarm
    client: httpx2.AsyncClient
    public: str

    async def signed(
        self,
        path: str,
        fields: Any = VOICE,
        method: str = "POST",
        at: str | None = None,
    ) -> httpx2.Response:
        """Send a webhook that Twilio signed for ``path``; ``at`` is where a proxy sends it."""
        pairs = tuple(fields.items() if isinstance(fields, dict) else fields)
        if method == "GET":
            query = "?" + urlencode(pairs) if pairs else ""
            headers = {"X-Twilio-Signature": sign(self.public + path + query)}
            return await self.client.get((at or path) + query, headers=headers)
        headers = FORM | {"X-Twilio-Signature": sign(self.public + path, pairs)}
        return await self.client.post(at or path, content=urlencode(pairs), headers=headers)


def desk(prefix: str = "", options: TwilioOptions | None = None) -> Desk:
    """Return an application whose public address is https://example.com and ``prefix``."""
    calls, farm = office()
    public = "https://example.com" + prefix
    twilio = TwilioRoutes(
        calls,
        SignatureCheck(lambda account: (TOKEN,), public),
        Throttle(lambda: 0.0, free=10**9),
        None,
        options or TwilioOptions(MOST_BODY, FALLBACK, None),
    )
    farm_ = cast("Farm", farm)
    app = application(calls, farm_, twilio, Api(calls, farm_, "api-token", {}), prefix)
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4711))
    client = httpx2.AsyncClient(transport=transport, base_url="http://inside:8000")
    return Desk(calls, farm, client, "https://example.com")
