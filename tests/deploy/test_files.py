import re
from pathlib import Path

from shared.settings import Settings
from shared.settings.fields import variable

ROOT = Path(__file__).parents[2]
CADDYFILE = (ROOT / "deploy/Caddyfile").read_text()
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()


def test_a_reload_of_caddy_outlasts_the_longest_call() -> None:
    (minutes,) = re.findall(r"^\s*stream_close_delay (\d+)m$", CADDYFILE, re.MULTILINE)
    assert int(minutes) * 60 > Settings().max_call_seconds


def test_caddy_waits_for_a_restart_but_not_longer_than_twilio() -> None:
    (seconds,) = re.findall(r"^\s*lb_try_duration (\d+)s$", CADDYFILE, re.MULTILINE)
    assert 2 < int(seconds) < 15


def test_caddy_points_at_the_default_port_and_buffers_nothing() -> None:
    assert f"reverse_proxy 127.0.0.1:{Settings().port} {{" in CADDYFILE
    assert re.search(r"^\s*flush_interval -1$", CADDYFILE, re.MULTILINE)


def test_caddys_braces_are_balanced_and_tabs_indent() -> None:
    assert CADDYFILE.count("{") == CADDYFILE.count("}")
    assert not re.search(r"^ ", CADDYFILE, re.MULTILINE)


def test_the_container_copies_what_there_is_and_runs_as_nobody_special() -> None:
    for sources in re.findall(r"^COPY (.+) \S+$", CONTAINERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    lines = CONTAINERFILE.splitlines()
    assert lines.index("USER callfarm") < lines.index('CMD ["callfarm", "serve"]')


def test_a_stopped_container_gets_longer_than_the_drain() -> None:
    (seconds,) = re.findall(r"--stop-timeout (\d+)", CONTAINERFILE)
    assert int(seconds) > Settings().drain_seconds


def test_the_guides_name_settings_that_exist() -> None:
    known = {variable(field) for field in Settings.model_fields}
    for page in ("deploy/README.md", "docs/deploying.md", "docs/security.md"):
        text = (ROOT / page).read_text()
        named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", text))
        assert named - {"CAP_NET_BIND_SERVICE", "AGENT_"} <= known, page


def test_links_between_the_guides_lead_somewhere() -> None:
    for page in ("deploy/README.md", "docs/deploying.md", "docs/security.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
