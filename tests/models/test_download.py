import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from fakes import authors_checkpoint, build_tiny, tiny_config
from ovvis.errors import InputError, ResourceError
from ovvis.io.lock import hold
from ovvis.models import zoo
from ovvis.models.download import check_checksum, record_checksum, sha256, weights_folder
from ovvis.models.load import fetch_weights, load_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, _tiny_clips):
    path = tmp_path_factory.mktemp("made") / "a.pth"
    torch.save(authors_checkpoint(build_tiny().state_dict()), path)
    return path.read_bytes()


@pytest.fixture
def server(checkpoint):
    """Serve /good, a half of it at /short (with the whole's length), a page at /page; 404 for the rest."""
    served = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.append(self.path)
            content = {
                "/good": checkpoint,
                "/short": checkpoint,
                "/page": b"<html>Too many users have viewed this file</html>",
            }.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.path == "/short" else content)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    http.served = served
    http.address = f"http://127.0.0.1:{http.server_address[1]}"
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def entry(server, monkeypatch):
    def use(path, base=None):
        one = replace(zoo.ZOO["clip-vis-r50"], config=tiny_config(), url=f"{base or server.address}{path}")
        monkeypatch.setitem(zoo.ZOO, "clip-vis-r50", one)
        return one

    return use


def names():
    return sorted(path.name for path in weights_folder().iterdir())


def test_fetched_once_checked_and_recorded(server, entry):
    one = entry("/good")
    progress = []
    path = fetch_weights(one, lambda done, total: progress.append((done, total)))
    assert path == weights_folder() / "clip-vis-r50.safetensors"
    assert names() == ["clip-vis-r50.safetensors", "sha256.json"]
    record = json.loads((weights_folder() / "sha256.json").read_text())
    assert record == {path.name: {"sha256": sha256(path), "size": path.stat().st_size}}
    assert progress
    assert progress[-1][0] == max(done for done, _ in progress) > 10**6
    asked = len(server.served)
    model = load_model("clip-vis-r50")
    assert len(server.served) == asked
    assert torch.equal(model.network.query_decoder.query_code, build_tiny().network.query_decoder.query_code)


def test_two_that_want_the_same_fetch_it_once(server, entry):
    one, paths = entry("/good"), []
    several = [threading.Thread(target=lambda: paths.append(fetch_weights(one))) for _ in range(3)]
    before = len(server.served)
    with hold(make_folder(weights_folder()), "-clip-vis-r50.safetensors"):  # another process is fetching it
        for thread in several:
            thread.start()
        several[0].join(0.2)
        assert paths == [] and len(server.served) == before
    for thread in several:
        thread.join()
    assert len(server.served) == before + 1 and len(set(paths)) == 1
    assert names() == ["clip-vis-r50.safetensors", "sha256.json"]


def test_what_a_killed_download_left_goes_with_the_next(entry):
    left = make_folder(weights_folder()) / ".clip-vis-r50.safetensors.partial-abc"
    make_folder(left)
    (left / "download").write_text("half")
    fetch_weights(entry("/good"))
    assert names() == ["clip-vis-r50.safetensors", "sha256.json"]


def make_folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_a_changed_file_is_refused(entry):
    path = fetch_weights(entry("/good"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_model("clip-vis-r50")
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert sha256(path)[:12] in message
    assert "delete" in message


@pytest.mark.parametrize(
    ("path", "base"),
    [("/none", None), ("/good", "http://127.0.0.1:9"), ("/short", None)],
    ids=["404", "refused", "cut"],
)
def test_no_file(entry, path, base):
    one = entry(path, base)
    with pytest.raises(ResourceError) as caught:
        load_model("clip-vis-r50")
    message = str(caught.value)
    assert "\n" not in message
    assert one.url in message
    assert str(weights_folder() / "clip-vis-r50.safetensors") in message
    assert names() == []


def test_a_page_instead_of_a_file(entry):
    """Google Drive answers with a page when a file is asked for too often."""
    entry("/page")
    with pytest.raises((InputError, ResourceError)) as caught:
        load_model("clip-vis-r50")
    assert "\n" not in str(caught.value)
    assert names() == []


# Once: download.py `fetch` passes on what `finish` raises, which names a temporary file that is gone.
def test_a_page_instead_of_a_file_names_the_address(entry):
    one = entry("/page")
    with pytest.raises((InputError, ResourceError)) as caught:
        load_model("clip-vis-r50")
    assert one.url in str(caught.value)
    assert ".partial-" not in str(caught.value)


def test_an_interrupted_download_leaves_nothing(entry):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(entry("/good"), interrupt)
    assert names() == []


def test_checksums(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == check_checksum(path) == check_checksum(path) == digest
    (tmp_path / "b").write_bytes(b"")
    record_checksum(tmp_path / "b")
    assert set(json.loads((tmp_path / "sha256.json").read_text())) == {"a", "b"}
    (tmp_path / "sha256.json").write_text("no json")
    assert check_checksum(path) == digest


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path))
    assert weights_folder() == tmp_path / "weights"
    monkeypatch.delenv("OVVIS_CACHE")
    assert weights_folder().parts[-2:] == ("ovvis", "weights")
