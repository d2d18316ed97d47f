"""The settings, where they come from, and what of them a call process may see."""

from shared.settings.environment import call_environment, take_secrets
from shared.settings.errors import Problem, SettingsError
from shared.settings.fields import Place, Settings, Source
from shared.settings.loading import load_settings

__all__ = [
    "Place",
    "Problem",
    "Settings",
    "SettingsError",
    "Source",
    "call_environment",
    "load_settings",
    "take_secrets",
]
