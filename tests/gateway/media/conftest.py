"""Servers with a media socket, on both loops and over TLS."""

from collections.abc import Iterator

import pytest

from gateway.media.limits import Limits
from tests.gateway.media.running_server import Farm, running_farm

QUICK = Limits(close_seconds=0.05)


@pytest.fixture(scope="module", params=["uvloop", "asyncio", "tls"])
def lasting_farm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farm]:
    tls = tmp_path_factory.mktemp("tls") if request.param == "tls" else None
    with running_farm("asyncio" if request.param == "asyncio" else "uvloop", QUICK, tls) as running:
        yield running


@pytest.fixture
def farm(lasting_farm: Farm) -> Farm:
    lasting_farm.forget()
    return lasting_farm


@pytest.fixture(scope="module")
def shared_farm() -> Iterator[Farm]:
    with running_farm() as running:
        yield running
