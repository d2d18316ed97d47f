"""An API over an empty store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.api.bureau import Bureau, bureau


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Bureau]:
    """Return the bureau."""
    async with bureau(tmp_path) as opened:
        yield opened
