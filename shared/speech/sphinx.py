"""The pocketsphinx engine: telephone audio in, a sentence of a grammar out.

One recogniser serves a process: it holds the acoustic model and the dictionary (from the wheel,
0.1 s and 30 MB to load, shared by forks) and any number of grammars, and hears one utterance at a
time, on one thread. Each chunk is decoded as it comes, at about a thirtieth of real time.

The model was trained at 16 kHz. Measured on espeak's voices at telephone bandwidth, in sentences
heard exactly: doubling each sample 82 %, linear interpolation 79 %, a clean interpolation filter
71 % (the mirror image above 4 kHz stands in for the band that a telephone cuts off); the engine's
own 8 kHz setting 10 %, since its filter bank no longer fits the model.

What fits no sentence comes back empty: beside the grammar runs a loop of bare phones
(`Grammar.with_way_out`), which wins only when no sentence fits.
"""

import audioop
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import pocketsphinx

from shared.audio import SAMPLE_RATE, ulaw_to_pcm16
from shared.speech.grammar import GrammarError, read_grammar

_ARPABET = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V "
    "W Y Z ZH"
)
_NOISE_PREFIX = "callfarm_"
_PHONE_PROBABILITY = 1e-10
"""Price of a phone outside of the grammar. Measured: at 1e-8 one sentence of the grammar in 15 is
taken for noise; at 1e-11 more of what is outside of it passes for a sentence."""

_DITHER_RMS = 8
"""Digital silence has no spectrum; a hiss at -72 dBFS gives the model a floor to stand on."""

_MEAN_LEVEL_DBFS = -31.0
_MEAN_ENERGY = 43.0
_ENERGY_PER_DB = 0.94
_MEAN_SHAPE = "0,-2,-5,0.4,-10,-2.7,-5.2,-3.9,0.93,-1.7,-0.3,-1.15"
"""Cepstral means of speech in the telephone band at `_MEAN_LEVEL_DBFS`, measured."""


class UnknownWordsError(ValueError):
    """A grammar uses words that nobody has told the recogniser how to pronounce."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        super().__init__(words)

    def __str__(self) -> str:
        return (
            f"not in the dictionary: {', '.join(self.words)}; use other words (lower case), or "
            "give their pronunciation in ARPAbet, such as {'vespa': 'V EH S P AH'}"
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """What was learnt of a caller's line so far; opaque. Hand it to the next utterance."""

    means: str


class Recogniser:
    """Hears utterances, one at a time: `begin`, `feed` any number of times, `finish`."""

    def __init__(self) -> None:
        self._decoder = pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"),
            dict=pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"),
            lm=None,
            loglevel="FATAL",
            cmn="live",
            # Costs two thirds of the time and gains nothing; it may also end inside a sentence.
            bestpath=False,
        )
        phones = {_NOISE_PREFIX + phone.lower(): phone for phone in _ARPABET.split()}
        for word, phone in phones.items():
            self._decoder.add_word(word, phone, False)
        self._phones = tuple(phones)
        random = Random(8000)  # noqa: S311 - a hiss that is the same in every run
        hiss = (int(random.gauss(0, _DITHER_RMS)) for _ in range(SAMPLE_RATE))
        self._hiss = b"".join(sample.to_bytes(2, "little", signed=True) for sample in hiss)
        self._hiss_at = 0
        self._grammars: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
        self._is_hearing = False

    def load(self, text: str, pronunciations: Mapping[str, str] | None = None) -> str:
        """Prepare the JSGF grammar ``text`` and return the handle that `begin` takes.

        ``pronunciations`` adds words to the dictionary, in ARPAbet. Loading the same again is
        free. Raises `GrammarError` and `UnknownWordsError`.
        """
        added = dict(pronunciations or {})
        key = (text, tuple(sorted(added.items())))
        if key not in self._grammars:
            self._grammars[key] = self._load(text, added)
        return self._grammars[key]

    def _load(self, text: str, pronunciations: dict[str, str]) -> str:
        grammar = read_grammar(text)
        for word, phones in pronunciations.items():
            self._pronounce(word, phones)
        unknown = sorted(w for w in grammar.words if self._decoder.lookup_word(w) is None)
        if unknown:
            raise UnknownWordsError(unknown)
        handle = f"{grammar.name}-{len(self._grammars)}"
        jsgf = grammar.with_way_out(self._phones, _PHONE_PROBABILITY)
        try:
            self._decoder.add_jsgf_string(handle, jsgf)
        except ValueError as error:
            raise GrammarError(1, f"pocketsphinx cannot read grammar {grammar.name}") from error
        return handle

    def _pronounce(self, word: str, phones: str) -> None:
        """Add a way to say ``word`` beside those that the dictionary has."""
        known = self._decoder.lookup_word(word)
        if known == phones:
            return
        variant = 2
        while known is not None and self._decoder.lookup_word(f"{word}({variant})") is not None:
            variant += 1
        try:
            self._decoder.add_word(word if known is None else f"{word}({variant})", phones, False)
        except RuntimeError as error:
            raise ValueError(
                f"{phones!r} is no pronunciation of {word!r}: use {_ARPABET}"
            ) from error

    def begin(self, handle: str, channel: Channel | None, level_dbfs: float) -> None:
        """Begin an utterance in the grammar of ``handle``.

        ``channel`` is what `finish` returned for the caller's last utterance; without one the
        line is guessed from ``level_dbfs``, the level of the speech so far. Raises
        ``RuntimeError`` while another utterance has not ended.
        """
        if self._is_hearing:
            raise RuntimeError("a recogniser hears one utterance at a time: use another one")
        energy = _MEAN_ENERGY + _ENERGY_PER_DB * (level_dbfs - _MEAN_LEVEL_DBFS)
        means = channel.means if channel else f"{energy:.2f},{_MEAN_SHAPE}"
        self._decoder.activate_search(handle)
        self._decoder.set_cmn(means)
        self._decoder.start_utt()
        self._hiss_at = 0
        self._is_hearing = True

    def feed(self, audio: bytes) -> None:
        """Decode more of the utterance: μ-law 8 kHz mono, any length."""
        if audio:
            pcm = self._dithered(ulaw_to_pcm16(audio))
            self._decoder.process_raw(audioop.tostereo(pcm, 2, 1, 1))  # doubles each sample

    def _dithered(self, pcm: bytes) -> bytes:
        start = self._hiss_at
        repeats = (start + len(pcm)) // len(self._hiss) + 1
        hiss = (self._hiss * repeats)[start : start + len(pcm)]
        self._hiss_at = (start + len(pcm)) % len(self._hiss)
        return audioop.add(pcm, hiss, 2)

    def finish(self) -> tuple[str, Channel]:
        """End the utterance: its words in lower case, empty if they fit no sentence."""
        self.abandon()
        hypothesis = self._decoder.hyp()
        text: str = hypothesis.hypstr if hypothesis is not None else ""
        is_noise = any(word.startswith(_NOISE_PREFIX) for word in text.split())
        return "" if is_noise else text, Channel(self._decoder.get_cmn())

    def abandon(self) -> None:
        """Forget an utterance that was begun, if there is one."""
        if self._is_hearing:
            self._is_hearing = False
            self._decoder.end_utt()
