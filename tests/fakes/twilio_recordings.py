"""Twilio's recordings with their audio and callbacks: the REST fake, and where the media lies.

    async with RecordingTwilio() as twilio:
        ... the gateway starts a recording of a call ...
        await twilio.complete(sid)          # the file is there, and its callback is sent

A media URL wants the account's credentials and redirects to a server of another origin, which
refuses them (docs, "Recordings resource"; the redirect is what the media service does for files
kept at a cloud). Before a recording is complete, and ``late`` requests longer, its audio is 404.
"""

import base64
from types import TracebackType
from typing import Self

import httpx2
from aiohttp import web

from phone.signature import Signer
from tests.fakes.twilio_account import RECORDING, Account, Call, Recording
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, ApiRequest, TwilioRestServer


class _KnowingAccount(Account):
    """An account that has every call it is asked about: a phone elsewhere has placed it."""

    def call(self, sid: str) -> Call:
        if sid not in self.calls:
            self.add_call(sid)
        return super().call(sid)


class RecordingTwilio(TwilioRestServer):
    """One account, its recordings' audio, and the other server that has it."""

    def __init__(self, account_sid: str = ACCOUNT_SID, auth_token: str = AUTH_TOKEN) -> None:
        super().__init__(account_sid, auth_token)
        self.account = _KnowingAccount(account_sid)
        self.media: dict[str, bytes] = {}
        """Audio by recording."""
        self.mono: set[str] = set()
        """Recordings without a file of two channels."""
        self.late = 0
        """So many requests find no audio yet, although it is complete."""
        self.redirects = True
        self.fetched: list[str] = []
        """Queries and hosts of the requests for audio."""
        self.leaked: list[str] = []
        """Credentials that the other server was told."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        app = web.Application()
        app.router.add_get("/{sid}", self._elsewhere)
        self._cloud = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._cloud.setup()
        await web.TCPSite(self._cloud, "127.0.0.1", 0).start()
        self._cloud_url = f"http://localhost:{self._cloud.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._cloud.cleanup()
        await super().__aexit__(kind, error, trace)

    async def complete(self, sid: str, audio: bytes = b"RIFF", *, tell: bool = True) -> None:
        """A recording is finished; without ``tell`` its callback is lost."""
        it = self.account.recordings[sid]
        it.status, self.media[sid] = "completed", audio
        if tell:
            await self.callback(it, "completed", {"RecordingDuration": "7"})

    async def absent(self, sid: str) -> None:
        """There will be no audio."""
        it = self.account.recordings[sid]
        it.status = "absent"
        await self.callback(it, "absent", {})

    async def callback(self, it: Recording, status: str, more: dict[str, str]) -> int:
        """Send a status callback as Twilio does; return the answer's status."""
        if it.callback is None or status not in it.callback_events:
            return 0
        form = {
            "AccountSid": self.account.sid,
            "CallSid": it.call_sid,
            "RecordingSid": it.sid,
            "RecordingUrl": f"{self.base_url}/2010-04-01/Accounts/{self.account.sid}"
            f"/Recordings/{it.sid}",
            "RecordingStatus": status,
            "RecordingChannels": str(it.channels),
            "RecordingSource": "StartCallRecordingAPI",
            "RecordingTrack": it.track,
            **more,
        }
        return await self.post(it.callback, form)

    async def hears(self, call_sid: str, sequence: int, track: str, text: str) -> int:
        """Send a piece of the real-time transcription."""
        (it,) = [it for it in self.account.transcriptions.values() if it.call_sid == call_sid]
        assert it.callback is not None
        form = {
            "AccountSid": self.account.sid,
            "CallSid": call_sid,
            "TranscriptionSid": it.sid,
            "Timestamp": "2026-11-02T10:00:00Z",
            "SequenceId": str(sequence),
            "TranscriptionEvent": "transcription-content",
            "Track": track,
            "TranscriptionData": f'{{"transcript":"{text}","confidence":0.97}}',
            "Final": "true",
            "LanguageCode": it.language,
        }
        return await self.post(it.callback, form)

    async def post(self, url: str, form: dict[str, str]) -> int:
        """Send a signed webhook; return the answer's status."""
        headers = {"X-Twilio-Signature": Signer(self.auth_token).http(url, form)}
        async with httpx2.AsyncClient() as client:
            return (await client.post(url, data=form, headers=headers)).status_code

    # The audio -----------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET" or not request.path.endswith((".wav", ".mp3")):
            return await super()._serve(request)
        path = request.path.removeprefix(f"/2010-04-01/Accounts/{self.account.sid}")
        self.requests.append(ApiRequest(request.method, path, {}, request.headers))
        self.fetched.append(request.query_string)
        wanted = base64.b64encode(f"{self.account.sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.Response(status=401)
        sid = path.removeprefix("/Recordings/").rpartition(".")[0]
        if self._troubles:
            trouble = self._troubles.popleft()
            return web.Response(status=getattr(trouble, "status", 500))
        it = self.account.recordings.get(sid)
        if it is None or it.status in RECORDING or sid not in self.media or self.late > 0:
            self.late -= 1
            return web.Response(status=404)
        if request.query.get("RequestedChannels") == "2" and sid in self.mono:
            return web.Response(status=400)
        if self.redirects:
            raise web.HTTPFound(f"{self._cloud_url}/{sid}")
        return web.Response(body=self.media[sid], content_type="audio/x-wav")

    async def _elsewhere(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            self.leaked.append(request.headers["Authorization"])
            return web.Response(status=400)
        return web.Response(body=self.media[request.match_info["sid"]], content_type="audio/x-wav")
