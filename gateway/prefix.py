"""Serves under the path prefix of ``PUBLIC_URL``, whether or not the proxy strips it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class PrefixMiddleware:
    """Takes ``prefix`` (``/ai``, without a last slash) off the path that routes see.

    The raw path stays as it came, since signatures are made over it.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "http" and self._prefix:
            path = scope["path"]
            if path.startswith(self._prefix + "/"):
                scope = {**scope, "path": path[len(self._prefix) :]}
        await self._app(scope, receive, send)
