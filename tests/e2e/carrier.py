"""A real gateway whose carrier is the fake Twilio, on a port where it can be started again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN
from tests.harness import RunningGateway, running_gateway

FROM = "+15557654321"


@asynccontextmanager
async def gateway_of(
    folder: Path,
    twilio_url: str,
    port: int,
    agents: Mapping[str, str] | None = None,
    **environment: str,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway that calls through the fake at ``twilio_url``, and is not long in doubt."""
    variables = {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_PHONE_NUMBER": FROM,
        "TWILIO_BASE_URL": twilio_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "DIAL_DOUBT_SECONDS": "3",
        "DIAL_CALLS_PER_SECOND": "25",
    }
    async with running_gateway(
        folder, agents, {**variables, **environment}, ("--port", str(port))
    ) as gateway:
        yield gateway
