"""The page of ``/twilio/call-me``: one form, no script, no cookie, nothing from elsewhere."""

from html import escape

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}"
    "label{display:block;margin-top:1rem;font-weight:600}"
    "input,button{font:inherit;padding:.5rem;width:100%;box-sizing:border-box}"
    "button{margin-top:1.5rem}"
    "[role=alert]{border-left:.3rem solid #b00020;padding-left:.7rem}"
    "[role=status]{border-left:.3rem solid #00703c;padding-left:.7rem}"
    ":focus-visible{outline:.2rem solid #1a56db;outline-offset:.1rem}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}"
)


def page(action: str, *, message: str = "", failed: bool = False, to: str = "") -> str:
    """Return the page. ``action`` is where the form goes, ``message`` what came of the last try."""
    role = "alert" if failed else "status"
    told = f'<p role="{role}">{escape(message)}</p>' if message else ""
    invalid = ' aria-invalid="true"' if failed else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Call me</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Call me</h1>
{told}
<form method="post" action="{escape(action)}">
<label for="to">Your number</label>
<input id="to" name="to" type="tel" autocomplete="tel" required maxlength="40"
 placeholder="+493012345678" aria-describedby="hint" value="{escape(to)}"{invalid}>
<small id="hint">With the country, as +49 30 1234 5678.</small>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required
 maxlength="200">
<button type="submit">Call me now</button>
</form>
</main>
</body>
</html>
"""
