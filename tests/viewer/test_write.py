"""The page as a file, in a notebook and from the local server, without a browser."""

import base64
import http.client
import re
import threading
import zlib
from dataclasses import replace

import numpy as np
import pytest
from known_results import mask_at, result_of

from clips import Clip
from ovvis import masks
from ovvis.errors import InputError
from ovvis.outputs.render import render
from ovvis.sources.video import open_source
from ovvis.structures import Track
from ovvis.viewer import Pieces, choose_media, file, notebook_html, serve, write_viewer
from ovvis.viewer.media import playable
from ovvis.viewer.pieces import PIECE_FRAMES
from ovvis.viewer.serve import byte_range


@pytest.fixture
def video(tmp_path):
    return Clip("clip.mp4", count=12).make(tmp_path)


def codes_of(piece, tubes, frames):
    raw = zlib.decompress(piece)
    lengths = np.frombuffer(raw[: 4 * tubes * frames], "<u4")
    ends = 4 * tubes * frames + np.cumsum(lengths)
    codes = [raw[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return [codes[i * frames : (i + 1) * frames] for i in range(tubes)]


def test_pieces_hold_every_code(tmp_path):
    count = PIECE_FRAMES + 3
    result = result_of(Clip("long.mp4", count=count).make(tmp_path))
    pieces = Pieces(result)
    assert (len(pieces), len(pieces.tubes)) == (2, 4)
    early, late = codes_of(pieces.piece(0), 4, 64), codes_of(pieces.piece(1), 4, 3)
    for track, *codes in zip(pieces.tubes, early, late, strict=True):
        assert codes[0] + codes[1] == [b"" if mask is None else mask["counts"] for mask in track.masks]
    with pytest.raises(IndexError):
        pieces.piece(2)


def test_head_says_where_tracks_are_seen(video):
    result = result_of(video)
    empty = masks.encode(np.zeros((48, 64), bool))
    result.tracks.append(Track(9, "cat", 1, 0.05, (), [empty] * 11 + [result.tracks[0].masks[0]], (48, 64)))
    tubes = {tube["id"]: tube for tube in Pieces(result).head()["tubes"]}
    assert tubes[2]["spans"] == [[0, 2], [4, 7], [9, 11]]
    assert tubes[3]["spans"] == [[4, 11]] and tubes[4]["spans"] == [[0, 1]]
    assert tubes[9]["spans"] == [[11, 11]]  # a mask without a pixel is not seen
    assert tubes[1]["names"] == [("dog", 0.9), ("cat", 0.4)]
    assert [tube["id"] for tube in Pieces(result, min_score=0.5).head()["tubes"]] == [1, 2, 3]
    areas = [mask_at(1, i, (48, 64)).sum() for i in range(12)]
    assert tubes[1]["sizes"] == [round(area / max(areas), 3) for area in areas]
    assert "scores" not in tubes[1]


def test_how_large_a_page_will_be_is_known_before(tmp_path, monkeypatch):
    result = result_of(Clip("long.mp4", count=7 * PIECE_FRAMES).make(tmp_path))
    pieces, said = Pieces(result), []
    exact = sum(len(base64.b64encode(piece)) for piece in pieces)
    assert pieces.page_bytes() == pytest.approx(exact, rel=0.05)
    monkeypatch.setattr(file, "LARGE", exact * 2)
    assert write_viewer(result, tmp_path / "a.html", source=False, on_say=said.append).says[0].startswith("There is no")
    monkeypatch.setattr(file, "LARGE", exact // 2)
    written = write_viewer(result, tmp_path / "b.html", source=False, on_say=said.append)
    assert said == [written.says[0]] and len(written.says) == 2
    assert said[0].startswith("The masks of 4 tracks in 448 frames make a page of about 0.0 GB")
    assert "ovvis view without --html" in said[0] and "--min-score" in said[0]


def test_what_pieces_refuse(video):
    result = result_of(video)
    with pytest.raises(InputError, match="one for each"):
        Pieces(result, scores={1: [0.5]})
    with pytest.raises(InputError, match=r"min_score 2: it must lie in \[0, 1\]"):
        Pieces(result, min_score=2)
    with pytest.raises(InputError, match="no frame"):
        Pieces(replace(result, frame_indices=[], frame_times=[], tracks=[]))


REFUSED = {
    "the times of its frames": lambda r: replace(r, frame_times=[t + 0.01 for t in r.frame_times]),
    "12 frames and the result counts to 13": lambda r: replace(r, frame_indices=[*range(11), 12]),
    "its frames are 64x48, the result's 66x48": lambda r: replace(r, width=66),
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_file_whose_frames_are_not_the_results_is_not_played(video, said):
    assert said in playable(video, REFUSED[said](result_of(video)))


def test_files_that_browsers_do_not_play_are_told_by_their_kind(tmp_path):
    for name, codec, said in [
        ("a.mkv", "libx264", "container"),
        ("a.mp4", "mpeg4", "mpeg4"),
        ("a.avi", "mjpeg", "avi"),
    ]:
        path = Clip(name, codec, count=4, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p").make(tmp_path)
        assert said in playable(path, result_of(path))
    path = Clip("ten.mp4", "libx264", count=4, pixels="yuv420p10le").make(tmp_path)
    assert "yuv420p10le" in playable(path, result_of(path))


def test_another_video_under_the_same_name_is_refused(video, tmp_path):
    result = result_of(video)
    Clip("clip.mp4", count=12, times=lambda k: 50 * k).make(tmp_path)
    with pytest.raises(InputError, match=r"frame 1 is shown at 0.050 s, that of the result at 0.033 s"):
        write_viewer(result, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_painted_video_stands_in_for_a_source_that_is_gone(video, tmp_path):
    result = result_of(video)
    render(result, open_source(video), tmp_path / "overlay.mp4")
    video.unlink()
    media = choose_media(result, tmp_path / "copy.mp4", painted=tmp_path / "overlay.mp4")
    assert media.kind == "painted" and len(media.times) == 12 and "the source is not here" in media.says
    assert choose_media(result, tmp_path / "copy.mp4") is None


def test_a_copy_that_lacks_frames_says_so(video, tmp_path):
    result = result_of(video)
    frames = [frame for frame in open_source(video) if frame.index not in (0, 5)]
    media = choose_media(result, tmp_path / "copy.mp4", frames)
    assert media.positions == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11] and media.times[0] == 0
    assert "2 of the result's 12 frames are not in the source" in media.says


def test_older_pages_stay_unless_asked(video, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        write_viewer(result_of(video), page, overwrite=False)
    assert page.read_text() == "mine"
    with pytest.raises(InputError, match="is no folder"):
        write_viewer(result_of(video), tmp_path / "none" / "page.html")


def test_the_same_result_makes_the_same_page(video, tmp_path):
    result = result_of(video)
    for name in ("a.html", "b.html"):
        write_viewer(result, tmp_path / name)
    text = (tmp_path / "a.html").read_bytes()
    assert text == (tmp_path / "b.html").read_bytes()
    bits = re.findall(rb'id="media-\d+">([^<]*)<', text)
    assert b"".join(map(base64.b64decode, bits)) == video.read_bytes()


def test_a_large_copy_lies_beside_the_page(video, tmp_path):
    result = result_of(video)
    written = write_viewer(result, tmp_path / "page.html", list(open_source(video)), embed=False)
    assert written.video == tmp_path / "page.mp4" and written.video.is_file()
    assert '"media":"./page.mp4"' in (tmp_path / "page.html").read_text()


def test_notebook_is_bounded(video):
    result = result_of(video)
    full = notebook_html(result)
    assert full.startswith('<iframe srcdoc="') and "sandbox=" in full and "id=&quot;media-0" in full
    without = notebook_html(result, most=len(full) - 1)
    assert without.startswith("<iframe") and "id=&quot;media-0" not in without and len(without) < len(full)
    assert notebook_html(result, most=len(without) - 1).startswith("<p>clip.mp4: 12 frames and 4 tracks are too much")
    assert notebook_html(result) == result._repr_html_()


@pytest.fixture
def site(video, tmp_path):
    result = result_of(video)
    with serve(Pieces(result), choose_media(result, tmp_path / "copy.mp4")) as (address, run):
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield address, result
        run.__self__.shutdown()
        thread.join()


def asked(address, path, **headers):
    _, _, host, key, _ = address.split("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path.replace("KEY", key), headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_server_gives_page_masks_and_parts_of_the_video(site, video):
    address, result = site
    status, page = asked(address, "/KEY/")
    assert status == 200 and b'"pieces":"pieces/{n}"' in page and b'id="piece-0"' not in page
    assert asked(address, "/KEY/pieces/0") == (200, Pieces(result).piece(0))
    assert asked(address, "/KEY/video") == (200, video.read_bytes())
    assert asked(address, "/KEY/video", Range="bytes=5-9") == (206, video.read_bytes()[5:10])
    assert asked(address, "/KEY/video", Range="bytes=99999999-")[0] == 416


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/KEYx/", {}),
        ("/KEY", {}),
        ("/KEY/../clip.mp4", {}),
        ("/KEY/pieces/1", {}),
        ("/KEY/pieces/-1", {}),
        ("/KEY/pieces/0x0", {}),
        ("/KEY/pieces/%D9%A3", {}),
        ("/KEY/", {"Host": "evil.example:80"}),
    ],
)
def test_server_gives_nothing_else(site, path, headers):
    assert asked(site[0], path, **headers)[0] == 404


def test_a_port_that_is_taken_is_told(site, video):
    port = int(site[0].split("/")[2].split(":")[1])
    with (
        pytest.raises(InputError, match=f"port {port} of 127.0.0.1 cannot"),
        serve(Pieces(result_of(video)), None, port),
    ):
        pass


@pytest.mark.parametrize("asked", ["bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes=-"])
def test_a_range_that_is_not_understood_is_the_whole(asked):
    assert byte_range(asked, 10) == (0, 9)
