"""What an author can put on an agent's ``stt`` and ``tts``: ``from worker.providers import …``."""

from worker.stt.pocketsphinx import PocketSphinx
from worker.tts.espeak import Espeak

__all__ = ["Espeak", "PocketSphinx"]
