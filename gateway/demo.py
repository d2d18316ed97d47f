"""``callfarm demo``: a whole call on one machine, shown as it happens.

Starts the real gateway, places a call to it by the built-in phone, and checks at the end that
what the caller asked for arrived in the agent's state. Nothing in it is simulated but the phone
network: processes, sockets, signatures, speech recognition and synthesis are those of any call.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from gateway.demo_script import AGENT, BOOKING, SCRIPT, caller_voice
from gateway.demo_terminal import Terminal
from gateway.operator_socket import socket_path
from phone import Phone, Report
from phone.script import run_script
from shared.audio import write_stereo_wav
from shared.local_secrets import LocalSecretError, twilio_auth_token
from shared.settings import Settings, load_settings
from shared.settings.environment import provider_fields
from shared.settings.fields import variable

_SHIPPED = Path(__file__).resolve().parent.parent / "agents"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1


class DemoError(Exception):
    """The demo could not be held. ``sentence`` says why; ``log`` is the gateway's."""

    def __init__(self, sentence: str, log: str = "") -> None:
        self.sentence, self.log = sentence, log
        super().__init__(sentence, log)

    def __str__(self) -> str:
        return f"{self.log}\n{self.sentence}".lstrip()


def run_demo(*, listen: bool, as_json: bool) -> int:
    """Hold the demo; return the exit code, 1 when the booking went wrong. Raises `DemoError`."""
    settings = load_settings({"data_dir": load_settings().data_dir / "demo"})
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    began = time.monotonic()
    console.print("Starting a gateway of its own and loading speech ...", style="dim")
    try:
        report, view, replies = asyncio.run(_hold(settings, console, began))
        files = _write(settings.data_dir, report, view)
    except (LocalSecretError, OSError) as error:
        raise DemoError(str(error)) from error
    if listen:
        _play(files["recording"], console)
    return _conclude(console, report, view, replies, files, as_json)


async def _hold(
    settings: Settings, console: Console, began: float
) -> tuple[Report, dict[str, Any], list[float]]:
    terminal = Terminal(console)
    script = await SCRIPT.spoken(caller_voice())
    async with _gateway(settings) as url, _client(settings) as client:
        took = time.monotonic() - began
        console.print(f"Ready after {took:.1f} s. Calling {url} ...\n", style="dim")
        phone = Phone(
            f"{url}/twilio/voice",
            auth_token=twilio_auth_token(settings),
            status_url=f"{url}/twilio/status",
        )
        watching = asyncio.create_task(_watch(client, terminal))
        try:
            report = await run_script(phone, script, on_event=terminal.phone_event)
            async with asyncio.timeout(15):
                view = await watching
        finally:
            watching.cancel()
    return report, view, terminal.replies


async def _watch(client: httpx2.AsyncClient, terminal: Terminal) -> dict[str, Any]:
    """Show the gateway's only call as it goes; return it as remembered at its end."""
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        calls = (await client.get("/api/calls")).json()["calls"]
        if not calls:
            continue
        view: dict[str, Any] = (await client.get(f"/api/calls/{calls[0]['sid']}")).json()
        terminal.call_view(view)
        if view["exit"]:
            return view


def _client(settings: Settings) -> httpx2.AsyncClient:
    path = str(socket_path(settings.data_dir))
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=path), base_url="http://callfarm"
    )


@asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[str]:
    """Run the gateway in a process of its own; yields its address. Raises `DemoError`."""
    # mkdir gives its mode to the last folder only, and the one above is a gateway's, too.
    for folder in (settings.data_dir.parent, settings.data_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = settings.data_dir / "gateway.log"
    words = [sys.executable, "-m", "gateway", "serve", "--host", "127.0.0.1", "--port", "0"]
    words += ["--data-dir", str(settings.data_dir)]
    words += ["--agents", str(_agents(settings.agents_dir)), "--agent", AGENT]
    # A configured public address or certificate is not this gateway's, in .env neither; and what
    # the demo shows needs no key, so it uses none.
    hidden = {"PUBLIC_URL", "BASE_URL", "WEBHOOK_URL", "TLS_CERT_FILE", "TLS_KEY_FILE"}
    hidden |= {variable(field) for field in provider_fields()} | {"ELEVEN_LABS_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=settings.data_dir,
        )
    try:
        yield await _address(process, log_path)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _agents(folder: Path) -> Path:
    """Return where the receptionist is: in the operator's folder, or as shipped."""
    for place in (folder, _SHIPPED):
        if (place / f"{AGENT.partition(':')[0]}.py").exists():
            return place
    raise DemoError(f"{AGENT} is not in {folder}: set AGENTS_DIR to callfarm's own agents")


async def _address(process: asyncio.subprocess.Process, log_path: Path) -> str:
    assert process.stdout is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                words = line.decode().split()
                if words[:2] == ["callfarm", "serves"]:
                    return words[2]
    raise DemoError("the gateway did not start", log_path.read_text(errors="replace"))


# Afterwards ------------------------------------------------------------------------------------


def _write(folder: Path, report: Report, view: dict[str, Any]) -> dict[str, Path]:
    files = {"recording": folder / "demo.wav", "transcript": folder / "demo.txt"}
    write_stereo_wav(files["recording"], report.caller_audio, report.agent_audio)
    files["transcript"].write_text(
        "".join(f"{line['role']:>6}  {line['text']}\n" for line in view["lines"])
    )
    return files


def _conclude(
    console: Console,
    report: Report,
    view: dict[str, Any],
    replies: list[float],
    files: dict[str, Path],
    as_json: bool,
) -> int:
    booking = (view["agent_state"] or {}).get("booking")
    good = booking == BOOKING and report.status == "completed"
    if as_json:
        sys.stdout.write(
            json.dumps(
                {
                    "ok": good,
                    "booking": booking,
                    "status": report.status,
                    "reply_ms": replies,
                    "lines": view["lines"],
                    **{name: str(path) for name, path in files.items()},
                },
                indent=2,
            )
            + "\n"
        )
        return 0 if good else 1
    console.print()
    if replies:
        console.print(
            f"replies: {len(replies)}, median {statistics.median(replies):.0f} ms, "
            f"slowest {max(replies):.0f} ms from the caller's last sound to the agent's first"
        )
    console.print(f"recording:  {files['recording']}  (caller left, agent right, as heard)")
    console.print(f"transcript: {files['transcript']}")
    if good:
        console.print(f"booking:    {booking}", style="bold green")
        return 0
    console.print(
        f"the booking did not arrive: {booking} instead of {BOOKING}; "
        f"see {files['recording'].parent / 'gateway.log'}",
        style="bold red",
    )
    return 1


def _play(path: Path, console: Console) -> None:
    """Play a recording aloud, where there is a sound device and the library for it."""
    import wave

    try:
        import sounddevice
    except (ImportError, OSError) as error:
        console.print(f"not played: {error}; pip install 'callfarm[listen]'", style="yellow")
        return
    with wave.open(str(path), "rb") as file:
        audio = file.readframes(file.getnframes())
        try:
            with sounddevice.RawOutputStream(file.getframerate(), channels=2, dtype="int16") as out:
                out.write(audio)
        except sounddevice.PortAudioError as error:
            console.print(f"not played: {error}", style="yellow")
