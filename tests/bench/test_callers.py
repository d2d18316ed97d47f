"""What the benchmark's callers read from their sockets."""

import base64

import pytest

from bench.callers import masked_text, payload_size, texts_in
from gateway.media.frames import FrameReader, ping_frame, text_frame


@pytest.mark.parametrize("size", [1, 125, 126, 70_000])
def test_messages_of_any_length_are_read_whole_and_pings_are_skipped(size: int) -> None:
    message = b"x" * size
    data = text_frame(message) + ping_frame() + text_frame(b"y")
    assert texts_in(data) == ([message, b"y"], b"")
    cut = data[:-2]
    texts, rest = texts_in(cut)
    assert (texts, texts_in(rest + data[-2:])[0]) == ([message], [b"y"])


@pytest.mark.parametrize("size", [5, 125, 126, 1000])
def test_messages_are_sent_as_a_server_reads_them(size: int) -> None:
    assert FrameReader().feed(masked_text(b"z" * size)) == [b"z" * size]


@pytest.mark.parametrize("size", [0, 1, 2, 160, 8000])
def test_the_size_of_audio_is_told_from_its_message(size: int) -> None:
    payload = base64.b64encode(bytes(size))
    message = b'{"event":"media","streamSid":"MZ0","media":{"payload":"%b"}}' % payload
    assert payload_size(message) == size
