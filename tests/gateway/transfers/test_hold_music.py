import audioop
import itertools
import struct

from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.transfers.hold_music import MUSIC_PATH, HoldMusic, music, wav
from shared.audio import SAMPLE_RATE, level_dbfs, ulaw_to_pcm16

LOOP = music()


def test_the_loop_is_some_bars_long_and_always_the_same() -> None:
    assert len(LOOP) == 16 * SAMPLE_RATE
    assert music() == LOOP


def test_the_loop_is_soft_everywhere_and_never_silent() -> None:
    for start in range(0, len(LOOP), SAMPLE_RATE):
        assert -35 < level_dbfs(LOOP[start : start + SAMPLE_RATE]) < -15
    assert audioop.max(ulaw_to_pcm16(LOOP), 2) < 16000


def test_nobody_hears_where_it_ends() -> None:
    """Around the seam samples are no further apart than anywhere else."""
    samples = struct.unpack(
        f"<{2 * SAMPLE_RATE}h", ulaw_to_pcm16(LOOP[-SAMPLE_RATE:] + LOOP[:SAMPLE_RATE])
    )
    steps = [abs(after - before) for before, after in itertools.pairwise(samples)]
    around = slice(SAMPLE_RATE - 80, SAMPLE_RATE + 80)
    seam = steps[around]
    del steps[around]
    assert max(seam) <= max(steps)
    assert level_dbfs(LOOP[-800:]) > -45


def test_it_is_served_as_a_file_that_caches_may_keep() -> None:
    client = TestClient(Starlette(routes=HoldMusic().routes()))
    answer = client.get(MUSIC_PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == wav(LOOP)
    assert answer.content[:4] + answer.content[8:16] == b"RIFFWAVEfmt "
    assert struct.unpack("<HHI", answer.content[20:28]) == (7, 1, SAMPLE_RATE)
    assert "max-age" in answer.headers["cache-control"]
    again = client.get(MUSIC_PATH, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
