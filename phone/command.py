"""The engine of ``callfarm call``: one scripted call, or many at once, and what came of them.

Exit code 0 means that every call had a stream, completed, and gave Twilio's debugger no error.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from phone.caller import Voice
from phone.display import Progress, Screen, answer_ms, greeting_ms, summary
from phone.events import AnyEvent, Ending
from phone.microphone import check_keys
from phone.phone import ACCOUNT_SID, Phone
from phone.problem import NOT_CARRIED_OUT, Problem
from phone.report import Reply, Report
from phone.script import AwaitReply, PressKeys, SayAudio, SayText, Script, Step, run_script
from phone.settings import PhoneSettings
from shared.audio import read_wav


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What the command line says. Phrases come first, then the WAV file, then the keys."""

    url: str
    auth_token: str
    account_sid: str = ACCOUNT_SID
    to: str = "+15550001111"
    from_: str = "+15550002222"
    status_url: str | None = None
    fallback_url: str | None = None
    say: tuple[str, ...] = ()
    wav: Path | None = None
    dtmf: str = ""
    calls: int = 1
    out: Path | None = None
    """Where the recording goes; with several calls a number joins the name."""
    json: bool = False
    loss: float = 0.0
    jitter_ms: float = 0.0
    insecure: bool = False
    reply_s: float = 10.0
    quiet_ms: float = 800.0


class CallResult(msgspec.Struct, frozen=True):
    """One call, as ``--json`` prints it. Times in ms."""

    call_sid: str
    status: str
    how: Ending
    ok: bool
    duration_ms: float
    streams: int
    webhook_ms: float | None
    greeting_ms: float | None
    replies: tuple[Reply, ...]
    problems: tuple[Problem, ...]
    media_sent: int
    media_received: int
    recording: str | None
    events: list[AnyEvent]


def _script(options: CallOptions) -> Script:
    reply = AwaitReply(options.reply_s, options.quiet_ms)
    steps: list[Step] = [reply]
    for text in options.say:
        steps += [SayText(text), reply]
    if options.wav is not None:
        steps += [SayAudio(read_wav(options.wav), options.wav.name), reply]
    if options.dtmf:
        steps += [PressKeys(options.dtmf), reply]
    return Script(tuple(steps))


def _settings(options: CallOptions) -> PhoneSettings:
    return PhoneSettings(
        loss=options.loss,
        jitter_ms=options.jitter_ms,
        insecure=options.insecure,
        record=options.out is not None,
    )


def is_good(report: Report) -> bool:
    """Return whether a call went as it should."""
    errors = [p for p in report.problems if not p.warning and p.code != NOT_CARRIED_OUT]
    return report.status == "completed" and report.streams > 0 and not errors


async def call_command(
    options: CallOptions, *, console: Console | None = None, voice: Voice | None = None
) -> int:
    """Place the calls, show them and return the exit code.

    Raises ``ValueError`` for options that make no sense and ``OSError`` for files.
    """
    if options.calls < 1:
        raise ValueError(f"{options.calls} calls: use 1 or more")
    check_keys(options.dtmf)
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {options.out.parent} to write the WAV into")
    screen = console or Screen(stderr=options.json)
    phone = Phone(
        options.url,
        auth_token=options.auth_token,
        account_sid=options.account_sid,
        to=options.to,
        from_=options.from_,
        status_url=options.status_url,
        fallback_url=options.fallback_url,
        settings=_settings(options),
    )
    script = await _script(options).spoken(voice)
    listener = Progress(screen).show if options.calls == 1 else None
    if listener is None:
        screen.print(f"Placing {options.calls} calls at once ...", style="dim", highlight=False)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run_script(phone, script, on_event=listener))
            for _ in range(options.calls)
        ]
    reports = [task.result() for task in tasks]
    results = [_result(report, options, n) for n, report in enumerate(reports, 1)]
    if options.json:
        sys.stdout.write(msgspec.json.encode(results).decode() + "\n")
    else:
        _show(screen, reports, results)
    return 0 if all(result.ok for result in results) else 1


def _result(report: Report, options: CallOptions, number: int) -> CallResult:
    path = options.out
    if path is not None:
        if options.calls > 1:
            path = path.with_stem(f"{path.stem}-{number}")
        report.save_audio(path)
    return CallResult(
        call_sid=report.call_sid,
        status=report.status,
        how=report.how,
        ok=is_good(report),
        duration_ms=report.duration_ms,
        streams=report.streams,
        webhook_ms=answer_ms(report),
        greeting_ms=greeting_ms(report),
        replies=report.replies,
        problems=report.problems,
        media_sent=report.media_sent,
        media_received=report.media_received,
        recording=str(path) if path else None,
        events=list(report.events),  # type: ignore[arg-type]
    )


def _show(screen: Console, reports: list[Report], results: list[CallResult]) -> None:
    if any(report.streams for report in reports):
        screen.print(summary(reports))
    bad = [result for result in results if not result.ok]
    for result in bad:
        reasons = "; ".join(map(str, result.problems)) or f"{result.status}, {result.how.value}"
        screen.print(
            f"[red]{result.call_sid}[/]: {escape(reasons)}", highlight=False, soft_wrap=True
        )
    if len(results) == 1 and not bad:
        screen.print(f"call {results[0].call_sid}", highlight=False, soft_wrap=True)
    for result in results:
        if result.recording:
            screen.print(
                f"recording: {result.recording}", markup=False, highlight=False, soft_wrap=True
            )
