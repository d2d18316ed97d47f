"""A hosted provider's key and address, as the environment has them.

    DEEPGRAM_API_KEY    the key
    DEEPGRAM_BASE_URL   another server of its API, http or https; the WebSocket form is derived

Read in ``prepare``, when the operator's settings are in the environment and not at import.
"""

import os
from dataclasses import dataclass, field

from worker.errors import ProviderRefusedError


@dataclass(frozen=True, slots=True)
class Credentials:
    """``base_url`` ends without a slash; ``key`` never shows in a ``repr``."""

    key: str = field(repr=False)
    base_url: str

    @property
    def websocket_url(self) -> str:
        """The base address for sockets: ``ws`` for ``http``, ``wss`` for ``https``."""
        return "ws" + self.base_url.removeprefix("http")


def credentials(name: str, default_url: str, *, needs_key: bool = True) -> Credentials:
    """Read ``NAME_API_KEY`` and ``NAME_BASE_URL``.

    Without a key where one is needed, or with an address that is none: `ProviderRefusedError` that
    says which variable to set. A server of one's own may need no key.
    """
    variable = f"{name.upper()}_API_KEY"
    key = os.environ.get(variable, "").strip()
    base_url = _address(name, f"{name.upper()}_BASE_URL")
    if not key and (needs_key or not base_url):
        raise ProviderRefusedError(name, f"there is no key: set {variable}")
    if not (key.isascii() and key.isprintable()):
        raise ProviderRefusedError(name, f"what {variable} holds is no key: copy it again")
    return Credentials(key or "none", base_url or default_url)


def _address(name: str, variable: str) -> str:
    """Return the address that ``variable`` holds, empty if it holds none."""
    address = os.environ.get(variable, "").strip().rstrip("/")
    scheme, separator, rest = address.partition("://")
    if not address:
        return ""
    if not separator or not rest or scheme.lower() not in ("http", "https"):
        raise ProviderRefusedError(name, f"{variable} must begin with http:// or https://")
    return f"{scheme.lower()}://{rest}"
