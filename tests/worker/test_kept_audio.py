from worker.kept_audio import MOST_BYTES, KeptAudio


def test_the_last_of_it_is_kept_and_given_once() -> None:
    kept = KeptAudio()
    for number in range(300):
        kept.add(bytes([number % 256]) * 160)
    pieces = kept.take()
    assert sum(map(len, pieces)) == MOST_BYTES
    assert pieces[-1] == bytes([299 % 256]) * 160
    assert kept.take() == []
    kept.add(b"x")
    assert kept.take() == [b"x"]
