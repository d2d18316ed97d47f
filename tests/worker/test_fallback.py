import pytest

from tests.virtual_time import virtual_time
from tests.worker.frail import NO_KEY, FrailLLM, FrailSTT, FrailTTS
from tests.worker.llm.test_fallback import text
from tests.worker.stt.test_fallback import Ear
from tests.worker.tts.test_fallback import Recorder
from worker.errors import ProviderRefusedError
from worker.fallback import fallback_of
from worker.stand_ins import CannedLLM, EnergySTT, ToneTTS


def test_one_provider_is_itself() -> None:
    voice = ToneTTS()
    assert fallback_of(voice) is voice
    assert fallback_of([voice]) is voice
    assert fallback_of((voice,)) is voice


def test_a_list_without_any_is_refused() -> None:
    with pytest.raises(ValueError, match="name one at least"):
        fallback_of(list[ToneTTS]())


@virtual_time
async def test_several_voices_are_one_that_tells_of_losses() -> None:
    recorder = Recorder()
    voice = fallback_of([FrailTTS(refuses=NO_KEY), FrailTTS()], recorder.trouble)
    session = await voice.connect(recorder)
    assert recorder.troubles == [("FrailTTS", NO_KEY.sentence, "FrailTTS")]
    await session.aclose()


@virtual_time
async def test_several_recognisers_are_one_that_tells_of_losses() -> None:
    ear = Ear()
    session = await fallback_of([FrailSTT(refuses=NO_KEY), FrailSTT()], ear.trouble).connect(ear)
    assert ear.troubles == [("FrailSTT", NO_KEY.sentence, "FrailSTT")]
    await session.aclose()


@virtual_time
async def test_several_models_are_one() -> None:
    session = await fallback_of([FrailLLM(refuses=NO_KEY), FrailLLM(text="Yes.")]).connect()
    assert await text(session) == "Yes."
    await session.aclose()


@pytest.mark.parametrize(
    ("kind", "stand_in"), [(FrailTTS, ToneTTS()), (FrailSTT, EnergySTT()), (FrailLLM, CannedLLM())]
)
def test_several_are_prepared_together_and_stood_in_for_by_one(
    kind: type[FrailTTS] | type[FrailSTT] | type[FrailLLM],
    stand_in: ToneTTS | EnergySTT | CannedLLM,
) -> None:
    several = [kind(refuses=NO_KEY), kind()]
    made = fallback_of(several)
    made.prepare()
    assert [it.prepared for it in several] == [1, 1]
    assert made.stand_in() == stand_in
    with pytest.raises(ProviderRefusedError):
        fallback_of([kind(refuses=NO_KEY), kind(refuses=NO_KEY)]).prepare()


def test_the_same_several_are_equal_whoever_is_told() -> None:
    voices = [ToneTTS(), ToneTTS()]
    assert fallback_of(voices, Recorder().trouble) == fallback_of(voices)
