"""The journal gives back what it was given, in order, whatever happened to its files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.journal import Journal, _entries


def drained(journal: Journal) -> list[bytes]:
    found = []
    while oldest := journal.oldest():
        found += oldest[1]
        journal.done(oldest[0])
    return found


def test_entries_come_back_in_order_over_several_files_and_a_restart(tmp_path: Path) -> None:
    entries = [bytes([number]) * 100 for number in range(50)]
    journal = Journal(tmp_path, segment_bytes=1000)
    for start in range(0, 50, 5):
        journal.append(entries[start : start + 5])
    journal.close()
    again = Journal(tmp_path, segment_bytes=1000)
    assert len(list(tmp_path.iterdir())) == 5
    assert drained(again) == entries
    assert again.empty
    assert not again.size
    assert not list(tmp_path.iterdir())


def test_what_is_appended_while_it_is_read_comes_after(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([b"one"])
    oldest = journal.oldest()
    assert oldest is not None
    journal.append([b"two"])
    journal.done(oldest[0])
    assert oldest[1] + drained(journal) == [b"one", b"two"]


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_torn_tail_costs_only_the_entry_it_was_part_of(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.append([b"first", b"12345"])
    journal.close()
    file = tmp_path / "00000001.log"
    os.truncate(file, file.stat().st_size - cut)
    again = Journal(tmp_path)
    assert drained(again) == [b"first"]
    assert not again.damaged


def test_a_damaged_entry_costs_itself_alone_and_its_file_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([b"first", b"second", b"third"])
    journal.close()
    file = tmp_path / "00000001.log"
    file.write_bytes(file.read_bytes().replace(b"second", b"s3cond"))
    again = Journal(tmp_path)
    assert drained(again) == [b"first", b"third"]
    assert again.damaged == 1
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.damaged"]


def test_an_append_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append([b"before"])
    real = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        real(fd, bytes(data)[:5], offset)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", half)
        with pytest.raises(OSError, match="No space"):
            journal.append([b"lost" * 100])
    journal.append([b"after"])
    assert drained(journal) == [b"before", b"after"]


def test_its_files_are_private(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([b"words"])
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "journal/00000001.log").stat().st_mode & 0o777 == 0o600


@given(st.binary(max_size=200))
def test_no_file_is_too_strange_to_read(data: bytes) -> None:
    entries, damaged, rest = _entries(data)
    assert 0 <= rest <= len(data)
    assert damaged >= 0
    assert all(entry in data for entry in entries)
