import errno
import io
import tempfile

import pytest

from ovvis.errors import ResourceError
from ovvis.inference.spill import Spill

RECORDS = [b"", b"a", b"bc" * 100, b"", b"\x00\xff" * 7]


@pytest.mark.parametrize("limit", [0, 1, 150, 10**6])
def test_gives_back_what_it_took(limit):
    spill = Spill(limit)
    assert [spill.append(record) for record in RECORDS] == [0, 1, 2, 3, 4]
    assert len(spill) == 5
    assert [spill[i] for i in (4, 1, 0, 3, 2)] == [RECORDS[i] for i in (4, 1, 0, 3, 2)]
    assert spill.append(b"later") == 5  # writing after reading does not write over
    assert [spill[i] for i in range(6)] == [*RECORDS, b"later"]
    spill.close()


@pytest.mark.parametrize(("limit", "on_disk"), [(100, True), (10**6, False)])
def test_outgrows_memory(limit, on_disk):
    spill = Spill(limit)
    for _ in range(20):
        spill.append(b"x" * 10)
    assert spill._file._rolled is on_disk
    spill.close()


def test_objects():
    spill = Spill(1)
    values = [{"a": 1}, None, (1, b"2")]
    assert [spill.append_object(value) for value in values] == [0, 1, 2]
    assert list(spill.objects()) == values
    spill.close()


def test_nothing_is_left_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spill = Spill(1)
    spill.append(b"x" * 100)
    spill.close()
    assert list(tmp_path.iterdir()) == []


class FullDisk(io.RawIOBase):
    """A file on a disk with room for a few bytes."""

    def __init__(self, code, room):
        self.code, self.room, self.content, self.place = code, room, bytearray(), 0

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.place = offset if whence == 0 else self.place + offset if whence == 1 else len(self.content) + offset
        return self.place

    def readinto(self, buffer):
        part = self.content[self.place : self.place + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)

    def write(self, content):
        if self.place + len(content) > self.room:
            raise OSError(self.code, "it is so")
        self.content[self.place : self.place + len(content)] = content
        self.place += len(content)
        return len(content)


@pytest.fixture
def disk(monkeypatch):
    """Make every temporary file lie on such a disk, buffered as a real one is."""

    def use(room=0, code=errno.ENOSPC):
        def small_file(*args, **options):
            return io.BufferedRandom(FullDisk(code, room))

        monkeypatch.setattr(tempfile, "TemporaryFile", small_file)

    return use


def refused(call):
    with pytest.raises(ResourceError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "no space left" in message
    assert "TMPDIR" in message


def free(spill):
    """Drop a spill whose file cannot be flushed, without the file's own complaint."""
    spill._file._file.raw.room = 10**9
    spill.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(disk, code):
    disk(code=code)
    spill = Spill(1)
    refused(lambda: spill.append(b"x" * 100_000))
    spill._file.close()  # still in memory: rolling over failed


def test_full_disk_later(disk):
    disk(room=1000)
    spill = Spill(1)
    spill.append(b"x" * 900)
    refused(lambda: [spill.append(b"y" * 100) for _ in range(1000)])
    free(spill)


def test_other_trouble_is_passed_on(disk):
    disk(code=errno.EIO)
    spill = Spill(1)
    with pytest.raises(OSError, match="it is so") as caught:
        spill.append(b"x" * 100_000)
    assert not isinstance(caught.value, ResourceError)
    spill._file.close()


# Once: the last records wait in the file's buffer, and `__getitem__` met the full disk unprepared.
def test_full_disk_noticed_on_reading_back(disk):
    disk(room=100)
    spill = Spill(1)
    spill.append(b"x" * 100)
    try:
        refused(lambda: (spill.append(b"y" * 100), spill[0]))
    finally:
        free(spill)


# Once: `close` flushes once more and raised a bare OSError, which hid the one-line message of `append`.
def test_closing_after_a_full_disk_is_quiet(disk):
    disk(room=100)
    spill = Spill(1)
    spill.append(b"x" * 100)
    try:
        refused(lambda: [spill.append(b"y" * 100) for _ in range(200)])
        spill.close()
    finally:
        free(spill)
