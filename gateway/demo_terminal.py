"""What the terminal shows of the demo's call: both sides as they speak, and how fast."""

from typing import Any

from rich.console import Console

from phone.events import AgentBegan, CallerBegan, CallerSpoke, Event, StreamStarted

_PATIENCE = 5  # looks at the call, after which an utterance is shown without its reply time


class Terminal:
    """Joins what the phone hears (times) with what the gateway knows (words)."""

    def __init__(self, console: Console) -> None:
        self.replies: list[float] = []
        self._console = console
        self._caller_until: float | None = None
        self._reply: float | None = None
        self._agent_at = 0.0
        self._sayings = self._lines = self._looks = 0

    def phone_event(self, event: Event) -> None:
        """Show what the phone notices."""
        match event:
            case StreamStarted(at_ms=at_ms):
                self._print(at_ms, "", "dim", "connected")
            case CallerBegan(at_ms=at_ms, label=label):
                self._print(at_ms, "caller", "cyan", label)
            case CallerSpoke(until_ms=until_ms):
                self._caller_until = until_ms
            case AgentBegan(at_ms=at_ms):
                self._agent_at = at_ms
                until, self._caller_until = self._caller_until, None
                if until is not None and at_ms >= until:
                    self._reply = at_ms - until
                    self.replies.append(self._reply)

    def call_view(self, view: dict[str, Any]) -> None:
        """Show what the gateway knows by now."""
        if view["sayings"] > self._sayings:
            self._looks += 1
            if self._reply is not None or self._sayings == 0 or self._looks > _PATIENCE:
                self._say(view)
        for line in view["lines"][self._lines :]:
            self._lines += 1
            if line["interrupted"]:
                heard = f'interrupted: the caller heard "{line["text"]}"'
                self._print(None, "", "yellow", heard)

    def _say(self, view: dict[str, Any]) -> None:
        self._sayings, self._looks = view["sayings"], 0
        reply, self._reply = self._reply, None
        took = f"   [{reply:.0f} ms]" if reply is not None else ""
        self._print(self._agent_at, "agent", "green", view["saying"], took)

    def _print(self, at_ms: float | None, who: str, style: str, text: str, took: str = "") -> None:
        when = "" if at_ms is None else f"{at_ms / 1000:.1f} s"
        self._console.print(f"[dim]{when:>8}[/]  [{style}]{who:6}[/]  ", end="")
        self._console.print(text, markup=False, end="")
        self._console.print(f"[bold]{took}[/]")
