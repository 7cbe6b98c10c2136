"""Bytes from servers that misbehave, each by itself: no model, no conversion."""

import pytest

from misbehaving import serving
from ovvis.errors import InputError, ResourceError
from ovvis.models import transfer
from ovvis.models.transfer import Failed, Part, Request, begun, read_cookies, receive

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(transfer, "SILENCE", 0.3)
    with serving() as running:
        running.files["/f"] = CONTENT
        yield running


def part(folder, content=b"", mark=None, total=None):
    made = Part(folder, "m", "s", "file.pth")
    if content:
        made.begin(mark, total)
        made.path.write_bytes(content)
    return made


def ask(server, path="/f", **more):
    return Request(server.address + path, **more)


# What is wrong with the server -> what is asked of it, each time from which byte.
HALF = len(CONTENT) // 2


@pytest.mark.parametrize(
    ("wrong", "asked"),
    [
        ("", 1),
        ("slow", 1),
        ("cut", 2),
        ("cut no-etag", 2),
        ("cut no-ranges", 2),  # it sends all of it once more
    ],
)
def test_it_comes_whole(server, tmp_path, wrong, asked):
    server.wrong["/f"] = wrong
    made, starts, seen = part(tmp_path), [], []
    receive(ask(server), made, None, lambda total, here: starts.append((total, here)), lambda *done: seen.append(done))
    assert made.path.read_bytes() == CONTENT
    ranges = server.ranges("/f")
    assert len(ranges) == asked and ranges[0] is None and all(HALF - transfer.PIECE <= r <= HALF for r in ranges[1:])
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and starts[0] == (len(CONTENT), 0)


@pytest.mark.parametrize(
    ("wrong", "said", "kept"),
    [
        ("cut-always", "the connection broke off at 0 of 1,024,000 bytes", 0),
        ("silent", "it sent nothing for 0.3 s", 0),
        ("circle", "in a circle", 0),
        ("status 404", "the server answered 404 (no such file)", 0),
        ("status 403", "the server answered 403 (it refuses)", 0),
        ("status 503", "the server answered 503", 0),
        ("status 403 quota", "quota is used up: wait a day", 0),
        ("status 429 quota", "quota is used up: wait a day", 0),
        ("quota", "Google Drive's page in place of the file, one that says its quota is used up", 0),
        ("login", "asks to sign in: sign in with a browser and fetch it again with that browser's cookies", 0),
        ("consent", "asks for consent", 0),
        ("portal", "a web page (HTML) in place of the file: open its address in a browser", 0),
    ],
)
@pytest.mark.parametrize("confirm", [False, True])
def test_it_does_not_come(server, tmp_path, wrong, said, kept, confirm):
    server.wrong["/f"] = wrong
    made = part(tmp_path)
    with pytest.raises(Failed) as caught:
        receive(ask(server, confirm=confirm), made)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert made.size == kept and len(server.asked) <= 31


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(Failed, match=r"^the connection was refused$"):
        receive(Request("http://127.0.0.1:9/f"), part(tmp_path))
    with pytest.raises(Failed, match="its name is not known here"):
        receive(Request("http://nowhere.invalid/f"), part(tmp_path))
    with pytest.raises(Failed, match="No connection adapters"):
        receive(Request("gopher://nowhere.invalid/f"), part(tmp_path))


def test_the_virus_question_is_passed_and_a_cut_behind_it_goes_on(server, tmp_path):
    server.wrong["/f"] = "virus"
    made = part(tmp_path, CONTENT[:1000], None, len(CONTENT))
    receive(ask(server, confirm=True), made)
    assert made.path.read_bytes() == CONTENT
    assert server.ranges("/f") == [None, 1000]


def test_a_later_process_goes_on(server, tmp_path):
    server.wrong["/f"] = "cut-always"
    first = part(tmp_path, CONTENT[:3000], None, len(CONTENT))
    with pytest.raises(Failed, match=r"3,000 bytes are here, and the next try goes on behind them"):
        receive(ask(server), first)
    assert begun(tmp_path, "m") == 3000
    server.wrong["/f"], server.asked[:] = "", []
    receive(ask(server), part(tmp_path))
    assert part(tmp_path).path.read_bytes() == CONTENT and server.ranges("/f") == [3000]
    receive(ask(server), part(tmp_path))  # whole already: nothing is asked
    assert len(server.asked) == 1


def test_a_file_that_has_changed_meanwhile_begins_anew(server, tmp_path):
    made = part(tmp_path, b"x" * 3000, '"an earlier version"', len(CONTENT))
    receive(ask(server), made)
    assert made.path.read_bytes() == CONTENT and server.ranges("/f") == [3000]
    server.files["/f"] = CONTENT[:2000]  # shorter than what is here, and no mark to tell
    server.wrong["/f"] = "no-etag"
    made = part(tmp_path, CONTENT[:3000], None, len(CONTENT))
    receive(ask(server), made)
    assert made.path.read_bytes() == CONTENT[:2000]


def test_a_wrong_length_is_refused_before_it_is_fetched(server, tmp_path):
    with pytest.raises(Failed, match="the file there has 1,024,000 bytes, and must have 7"):
        receive(ask(server, size=7), part(tmp_path))
    assert begun(tmp_path, "m") == 0


def test_a_disk_without_room_is_told_before(server, tmp_path, monkeypatch):
    usage = transfer.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda folder: usage._replace(free=2_000_000))
    with pytest.raises(ResourceError, match=r"no space left .* 1 MB come, .* but 2 MB are free"):
        receive(ask(server), part(tmp_path))


def test_a_browsers_cookies(server, tmp_path):
    file = tmp_path / "cookies.txt"
    file.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tabc\n")
    receive(ask(server), part(tmp_path), read_cookies(str(file)))
    assert server.cookies == ["SID=abc"]
    file.write_text('{"SID": "abc"}')
    for path in (file, tmp_path / "none.txt"):
        with pytest.raises(InputError, match=r"cookies .* cannot be read .*cookies\.txt"):
            read_cookies(str(path))
    assert read_cookies("") is None
