import re
from pathlib import Path

from dotenv import dotenv_values

from shared.settings import Settings
from shared.settings.fields import variable
from shared.settings.loading import ALIASES
from shared.settings.reference import SECTIONS, env_example, settings_page

ROOT = Path(__file__).parents[3]


def test_the_settings_page_is_what_the_class_says() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page()


def test_the_env_example_is_what_the_class_says() -> None:
    assert (ROOT / ".env.example").read_text() == env_example()


def test_the_env_example_names_every_setting_once_and_nothing_else() -> None:
    names = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", env_example(), re.MULTILINE)
    assert names == [variable(field) for field in Settings.model_fields]


def test_an_uncommented_env_example_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(re.sub(r"^#(?=[A-Z])", "", env_example(), flags=re.MULTILINE))
    given = {name.lower(): value for name, value in dotenv_values(file).items() if value}
    settings = Settings.model_validate(given)
    defaults = Settings()
    for field in Settings.model_fields:
        if getattr(defaults, field) not in (None, {}, ()):
            assert getattr(settings, field) == getattr(defaults, field), field


def test_every_setting_is_described_and_on_the_page_with_its_aliases() -> None:
    page = settings_page()
    for field, info in Settings.model_fields.items():
        assert info.description
        assert f"| `{variable(field)}` |" in page
    assert all(f"`{alias}`" in page for alias in ALIASES)
    assert all(f"## {title}" in page for title in SECTIONS.values())
