"""Names in ``.env`` that are no setting, and which one may have been meant.

Other programs may read the same file, so nothing is refused.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path

from shared.settings import Settings
from shared.settings.fields import AGENT_PREFIX, variable
from shared.settings.loading import ALIASES, ENV_FILE, read_env_file


def unknown_names(path: Path = ENV_FILE) -> Iterator[tuple[str, str | None]]:
    """Yield names that are no setting, each with the one that it nearly is.

    Raises `SettingsError` when the file cannot be read.
    """
    known = [*map(variable, Settings.model_fields), *ALIASES]
    for name in read_env_file(path):
        if name not in known and not name.startswith(AGENT_PREFIX):
            yield name, next(iter(difflib.get_close_matches(name, known, 1, 0.75)), None)
