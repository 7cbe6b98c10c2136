"""Weights by way of their sources, from servers on this machine that give them or do not."""

import hashlib
import json
import logging
import threading
from dataclasses import replace

import open_clip
import pytest
import torch

from fakes import authors_checkpoint, build_tiny, build_tiny_ovformer, tiny_config, tiny_ovformer_config
from misbehaving import COMMIT, serving
from ovvis.errors import InputError, ResourceError
from ovvis.files.lock import hold
from ovvis.models import own_clip, sources, transfer, zoo
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.download import RECORD, check_checksum, origin, pinned, record_checksum, sha256, weights_folder
from ovvis.models.load import load_model
from ovvis.models.own_clip import fetch_clip
from ovvis.models.own_weights import fetch_weights
from ovvis.models.sources import Drive, Hub, HubSearch, Local, Url, in_words, mirrored, offline, use_mirror
from ovvis.models.sources import mirror as mirror_place

FILE = "clip-vis-r50.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, _tiny_clips):
    path = tmp_path_factory.mktemp("made") / "a.pth"
    torch.save(authors_checkpoint(build_tiny().state_dict()), path)
    return path.read_bytes()


@pytest.fixture
def server(checkpoint, monkeypatch):
    """A server of `checkpoint` as /good, as Google Drive's file "good", and as a/b's w.pth of the Hub."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(transfer, "SILENCE", 0.3)
    with serving() as running:
        running.files |= {"/good": checkpoint, "/other": checkpoint[:-50]}
        running.repositories["a/b"] = {"w.pth": checkpoint, "README.md": b"#"}
        monkeypatch.setattr(sources, "DRIVE", f"{running.address}/")
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


@pytest.fixture
def entry(server, monkeypatch):
    def use(*places, **changes):
        made = [Url(server.address + place) if isinstance(place, str) else place for place in places]
        one = replace(zoo.ZOO["clip-vis-r50"], **{"config": tiny_config(), "sources": tuple(made), **changes})
        monkeypatch.setitem(zoo.ZOO, "clip-vis-r50", one)
        return one

    return use


def names(folder=None):
    return sorted(path.name for path in (folder or weights_folder()).iterdir())


def refused(one, *said, kind=ResourceError):
    with pytest.raises(kind) as caught:
        fetch_weights(one)
    message = str(caught.value)
    assert "\n" not in message and ".partial" not in message
    assert all(word in message for word in said), message
    return caught.value


def make_folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_fetched_once_checked_and_recorded(server, entry, checkpoint):
    one = entry("/good")
    progress = []
    path = fetch_weights(one, lambda done, total: progress.append((done, total)))
    assert path == weights_folder() / FILE
    assert names() == [FILE, RECORD]
    record = json.loads((weights_folder() / RECORD).read_text())[FILE]
    assert (record["sha256"], record["size"]) == (sha256(path), path.stat().st_size)
    assert origin(path)["sha256"] == hashlib.sha256(checkpoint).hexdigest()
    assert progress[-1] == (len(checkpoint), len(checkpoint))
    model = load_model("clip-vis-r50")
    assert len(server.asked) == 1
    assert torch.equal(model.network.query_decoder.query_code, build_tiny().network.query_decoder.query_code)


def test_two_that_want_the_same_fetch_it_once(server, entry):
    one, paths = entry("/good"), []
    several = [threading.Thread(target=lambda: paths.append(fetch_weights(one))) for _ in range(3)]
    with hold(make_folder(weights_folder()), f"-{FILE}"):  # another process is fetching it
        for thread in several:
            thread.start()
        several[0].join(0.2)
        assert paths == [] and server.asked == []
    for thread in several:
        thread.join()
    assert len(server.asked) == 1 and len(set(paths)) == 1
    assert names() == [FILE, RECORD]


def test_what_a_killed_conversion_left_goes_with_the_next(entry):
    left = make_folder(weights_folder() / f".{FILE}.partial-abc")
    (left / "made").write_text("half")
    fetch_weights(entry("/good"))
    assert names() == [FILE, RECORD]


def test_a_changed_file_is_refused(entry):
    path = fetch_weights(entry("/good"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_model("clip-vis-r50")
    message = str(caught.value)
    assert "\n" not in message and "delete" in message and str(path) in message and sha256(path)[:12] in message


# What is wrong with the only source -> what the one line says, and what stays of it.
@pytest.mark.parametrize(
    ("wrong", "said", "kept"),
    [
        ("status 404", "answered 404", False),
        ("status 403 quota", "quota is used up", False),
        ("portal", "a web page (HTML) in place of the file", False),
        ("cut-always", "the connection broke off", False),
        ("short-length", "the file there", False),  # a hundred bytes less than it has, said with a straight face
        ("circle", "in a circle", False),
        ("silent", "it sent nothing", False),
    ],
)
def test_no_file(server, entry, wrong, said, kept):
    one = entry("/good")
    server.wrong["/good"] = wrong
    refused(one, said, one.url, "--weights", f"ovvis convert FILE {weights_folder() / FILE}")
    assert names() == []


def test_no_server(entry):
    one = entry(Url("http://127.0.0.1:9/good"), Hub("a/b", "none.pth"), Url("http://nowhere.invalid/w"))
    refused(one, "refused", "has no such file; it has README.md, w.pth", "is there a network?", in_words(one.sources))


def test_a_cut_goes_on_where_it_was_in_a_later_try(server, entry, checkpoint, monkeypatch):
    one = entry("/good")
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.wrong["/good"] = "cut"
    refused(one, "the next try goes on behind them")
    (part,) = names()
    assert part.startswith(f".begun-{FILE}-")
    server.asked.clear()
    fetch_weights(one)
    (start,) = server.ranges("/good")
    assert 0 < start <= len(checkpoint) // 2
    assert names() == [FILE, RECORD]


def test_an_interrupted_fetch_goes_on(server, entry):
    def interrupt(done, total):
        raise KeyboardInterrupt

    one = entry("/good")
    with pytest.raises(KeyboardInterrupt):
        fetch_weights(one, interrupt)
    assert len(names()) == 1
    server.asked.clear()
    fetch_weights(one)
    assert server.ranges("/good")[0] > 0 and names() == [FILE, RECORD]


def test_two_visits_to_different_files_are_told_by_what_they_make_and_fetched_anew(server, entry, checkpoint):
    one = entry("/good")
    server.wrong["/good"] = "no-etag"  # nothing tells the versions apart
    part = transfer.Part(make_folder(weights_folder()), FILE, one.sources[0].address, "file")
    part.begin(None, len(checkpoint))
    part.path.write_bytes(bytes(50_000))
    fetch_weights(one)
    assert server.ranges("/good") == [50_000, None]
    assert load_model("clip-vis-r50").network is not None


def test_the_first_source_that_loads_wins_and_each_failure_is_a_line(server, entry, caplog):
    server.wrong["/quota"] = "quota"
    one = entry(Hub("a/b", "none.pth"), Drive("quota"), "/other", "/good", "/never")
    with caplog.at_level(logging.INFO, "ovvis"):
        fetch_weights(one)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    marks = ("the Hugging Face Hub (a/b/none.pth)", "Google Drive", "/other")
    assert len(said) == 3 and all(mark in line and "\n" not in line for mark, line in zip(marks, said, strict=True))
    assert "truncated" in said[2] and "the file there" in said[2]
    assert any("fetching it from" in record.getMessage() and "MB" in record.getMessage() for record in caplog.records)
    assert "/never" not in [path for path, _ in server.asked]
    assert pinned(weights_folder() / FILE).url.endswith("/good")


def test_google_drives_question_is_answered(server, entry):
    server.wrong["/good"] = "virus"
    fetch_weights(entry(Drive("good")))
    assert names() == [FILE, RECORD]


def test_cookies_are_those_of_the_variable(server, entry, tmp_path, monkeypatch):
    monkeypatch.setenv("OVVIS_COOKIES", str(tmp_path / "c.txt"))
    refused(entry(Drive("good")), "cookies", "c.txt", kind=InputError)
    (tmp_path / "c.txt").write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tabc\n")
    fetch_weights(entry(Drive("good")))
    assert server.cookies == ["SID=abc"]


# The Hub


def test_the_hub(server, entry, checkpoint, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.wrong["/bytes/a/b/w.pth"] = "cut"
    path = fetch_weights(entry(Hub("a/b", "w.pth")))
    assert set(server.tokens) == {"Bearer secret"}  # the Hub's host alone is told
    assert len(server.ranges("/bytes/a/b/w.pth")) == 2
    digest = hashlib.sha256(checkpoint).hexdigest()
    assert pinned(path) == Hub("a/b", "w.pth", COMMIT, size=len(checkpoint), sha256=digest)


def test_the_hub_tells_the_hash(server, entry, checkpoint):
    server.wrong["/bytes/a/b/w.pth"] = "changed"
    refused(entry(Hub("a/b", "w.pth")), "has the SHA-256", hashlib.sha256(checkpoint).hexdigest()[:12])
    assert names() == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Hub("a/none", "w.pth"), "no such repository"),
        (Hub("a/gated", "w.pth"), "accept their terms"),
        (Hub("a/b", "w.pth", "v9"), "no revision 'v9'"),
        (Hub("a/b", "w.bin"), "no such file; it has README.md, w.pth"),
        (HubSearch("a/none", "", ("w",)), "no such repository"),
        (Hub("a/b", "README.md"), "the file there"),
    ],
)
def test_what_the_hub_has_not(server, entry, source, said):
    server.repositories["a/gated"] = "gated"
    refused(entry(source), said, source.address)
    assert names() == []


SEARCH = HubSearch("a/b", "x", ("online", "r50"), least=11, last=("ovis",))


def test_files_of_the_hub_that_fit_are_tried_in_order_until_one_loads(server, entry, checkpoint, caplog):
    server.repositories["a/b"] = {
        "x/a_online_r50_ovis_372.pth": b"a closed vocabulary",
        "x/online_r50_small": b"too small",
        "x/OV_R50_Online_a.pth": b"no weights at all",
        "x/ov_online_r50_b.pth": checkpoint,
        "x/ov_offline_r50.pth": checkpoint,
        "online_r50.pth": checkpoint,
    }
    path = fetch_weights(entry(SEARCH))
    assert pinned(path) == Hub(
        "a/b", "x/ov_online_r50_b.pth", COMMIT, size=len(checkpoint), sha256=origin(path)["sha256"]
    )
    asked = [path for path, _ in server.asked]
    assert asked == ["/bytes/a/b/x/OV_R50_Online_a.pth", "/bytes/a/b/x/ov_online_r50_b.pth"]
    assert "OV_R50_Online_a.pth): the file there" in caplog.text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"y/z": b"", "x/a.pth": bytes(2_000_000)}, ["no file there is called so", "x/a.pth (2 MB), y/z (0 MB)"]),
        ({"x/online_r50": b"small"}, ["no file there is called so that has the 0 MB at least", "x/online_r50"]),
        (
            {"y/other": b"", "x/1_online_r50_ovis": bytes(20), "x/2_online_r50": bytes(20)},
            [
                "x/2_online_r50): the file there",
                "x/1_online_r50_ovis): the file there",
                "none of the 2 that fit by name",
            ],
        ),
    ],
)
def test_where_no_file_of_the_hub_is_the_model_those_that_are_there_are_named(server, entry, files, said):
    server.repositories["a/b"] = files
    error = refused(entry(SEARCH), *said, "a/b/tree/main/x", *files)
    assert [str(error).index(word) for word in said] == sorted(str(error).index(word) for word in said)
    assert names() == []


# Pins


def test_pins(server, entry, checkpoint):
    digest = hashlib.sha256(checkpoint).hexdigest()
    right = {"size": len(checkpoint), "sha256": digest}
    url = server.address + "/good"
    refused(entry(Url(url, size=9)), f"has {len(checkpoint):,} bytes, and must have 9")
    refused(entry(Url(url, sha256="0" * 64)), f"SHA-256 {digest[:12]}", "must have 000000000000...")
    assert names() == []
    path = fetch_weights(entry(Url(url, **right)))
    assert pinned(path) == Url(url, **right)


def test_a_published_file_that_changes_after_its_first_use_is_refused(server, entry, tmp_path):
    one = entry("/good")
    fetch_weights(one).unlink()
    torch.save({**authors_checkpoint(build_tiny().state_dict()), "iteration": 3}, tmp_path / "b.pth")
    server.files["/good"] = (tmp_path / "b.pth").read_bytes()
    refused(one, "has changed since it was first fetched", f"remove {FILE} from {weights_folder() / RECORD}")
    (weights_folder() / RECORD).unlink()
    fetch_weights(one)


# Mirrors, and no network


@pytest.fixture
def mirror(entry, tmp_path):
    folder = make_folder(tmp_path / "mirror")
    fetch_weights(entry("/good"), folder=folder)
    assert names(folder) == [FILE, RECORD]
    return folder


@pytest.mark.parametrize("kind", ["folder", "file://", "http"])
def test_a_mirror_comes_first(server, entry, mirror, monkeypatch, kind):
    server.files |= {f"/m/{path.name}": path.read_bytes() for path in mirror.iterdir()}
    place = {"folder": mirror, "file://": f"file://{mirror}", "http": f"{server.address}/m/"}[kind]
    monkeypatch.setenv("OVVIS_MIRROR", str(place))
    server.asked.clear()
    path = fetch_weights(entry("/good"))
    assert sha256(path) == sha256(mirror / FILE)
    assert [asked for asked, _ in server.asked] == ([f"/m/{RECORD}"] * 2 + [f"/m/{FILE}"] if kind == "http" else [])


def test_a_mirror_may_hold_the_authors_file_or_none(server, entry, checkpoint, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("OVVIS_MIRROR", str(tmp_path))
    fetch_weights(entry("/good")).unlink()
    assert f"the mirror ({tmp_path / FILE}): no such file" in caplog.text
    server.asked.clear()
    (tmp_path / "clip-vis-r50.pth").write_bytes(checkpoint)
    fetch_weights(entry("/good"))
    assert server.asked == []


def test_a_mirror_that_was_changed_is_passed_over(server, entry, mirror, monkeypatch, caplog):
    monkeypatch.setenv("OVVIS_MIRROR", str(mirror))
    content = bytearray((mirror / FILE).read_bytes())
    content[-1] ^= 1
    (mirror / FILE).write_bytes(content)
    fetch_weights(entry("/good"))
    assert "the mirror" in caplog.text and "must have" in caplog.text


@pytest.mark.parametrize("variable", ["OVVIS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(server, entry, mirror, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    server.asked.clear()
    one = entry(Hub("a/b", "w.pth"), "/good")
    refused(one, f"not asked: {variable}=1", "browser")
    monkeypatch.setenv("OVVIS_MIRROR", f"{server.address}/m")
    refused(one, f"not asked: {variable}=1")
    assert (server.asked, server.tokens) == ([], [])
    monkeypatch.setenv("OVVIS_MIRROR", str(mirror))
    fetch_weights(one)
    assert server.asked == []


def test_a_mirror_that_is_chosen_comes_before_the_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("OVVIS_MIRROR", "https://x.org/w")
    use_mirror(None)
    assert mirror_place() == "https://x.org/w"
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    for chosen in ("m", f"file://{tmp_path}/m"):
        use_mirror(chosen)
        assert mirror_place() == tmp_path / "m"
    use_mirror("http://y.org/w/")
    assert mirror_place() == "http://y.org/w"
    with pytest.raises(InputError, match=r"mirror 'gone'.*no such folder.*models fetch NAME --to"):
        use_mirror("gone")


def test_the_variables(monkeypatch, tmp_path):
    assert offline() is None and mirrored(FILE) == []
    for value, off in (("0", False), ("no", False), ("", False), ("1", True), ("TRUE", True)):
        monkeypatch.setenv("OVVIS_OFFLINE", value)
        assert bool(offline()) == off
    monkeypatch.setenv("OVVIS_MIRROR", str(tmp_path))
    assert mirrored(FILE) == [Local(tmp_path / FILE)]
    monkeypatch.setenv("OVVIS_MIRROR", "https://x.org/w")
    assert mirrored(FILE) == [Url(f"https://x.org/w/{FILE}"), Url("https://x.org/w/clip-vis-r50.pth")]


# CLIP's own weights


@pytest.fixture
def clip(server, monkeypatch, tmp_path):
    """The tiny CLIP's weights lie on the Hub as open_clip's do."""
    torch.save(build_tiny_ovformer().clip.model.state_dict(), tmp_path / "clip.bin")
    server.repositories["them/clip"] = {"open_clip_pytorch_model.bin": (tmp_path / "clip.bin").read_bytes()}
    monkeypatch.setattr(
        open_clip, "get_pretrained_cfg", lambda name, tag: {"hf_hub": "them/clip/"} if tag == "openai" else {}
    )


@pytest.mark.usefixtures("clip")
def test_clips_own_weights_go_the_same_road(server, monkeypatch, caplog):
    config = tiny_ovformer_config()
    path = fetch_clip(config)
    assert path.name == "clip.tiny-resnet.openai.safetensors" and names() == [path.name, RECORD]
    assert "open_clip_model.safetensors" in caplog.text  # asked for first
    state, own = own_clip.pretrained_clip(config), build_tiny_ovformer().state_dict()
    assert all(torch.equal(state[name], own[name]) for name in own if name.startswith("clip."))
    mirror = weights_folder()
    monkeypatch.setenv("OVVIS_CACHE", str(mirror / "elsewhere"))
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    with pytest.raises(ResourceError, match=r"clip\.tiny-resnet.*OVVIS_OFFLINE=1.*models fetch --to"):
        fetch_clip(config)
    monkeypatch.setenv("OVVIS_MIRROR", str(mirror))
    assert sha256(fetch_clip(config)) == sha256(path)
    with pytest.raises(InputError, match="open_clip knows none of that tag"):
        fetch_clip(tiny_ovformer_config(clip_weights="none"))


@pytest.mark.usefixtures("clip")
def test_weights_without_a_clip_bring_it(server, monkeypatch, tmp_path):
    state = {n: t for n, t in build_tiny_ovformer().state_dict().items() if not n.startswith("clip.")}
    torch.save(authors_checkpoint(state), tmp_path / "o.pth")
    server.files["/o"] = (tmp_path / "o.pth").read_bytes()
    one = replace(zoo.ZOO["ovformer-r50"], config=tiny_ovformer_config(), sources=(Url(server.address + "/o"),))
    monkeypatch.setitem(zoo.ZOO, "ovformer-r50", one)
    path = fetch_weights(one)
    assert any(name.startswith("clip.") for name in read_checkpoint(path).state)
    assert "clip.tiny-resnet.openai.safetensors" in names()


def test_checksums(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == check_checksum(path) == check_checksum(path) == digest
    (tmp_path / "b").write_bytes(b"")
    record_checksum(tmp_path / "b")
    assert set(json.loads((tmp_path / RECORD).read_text())) == {"a", "b"}
    for odd in ("no json", "[]", '{"a": 3}', '{"a": {"origin": 3}}'):
        (tmp_path / RECORD).write_text(odd)
        assert origin(path) is None and pinned(path) is None
        assert check_checksum(path) == digest


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path))
    assert weights_folder() == tmp_path / "weights"
    monkeypatch.delenv("OVVIS_CACHE")
    assert weights_folder().parts[-2:] == ("ovvis", "weights")


def test_a_cache_that_cannot_be_written(entry, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "file"))
    refused(entry("/good"), "cannot be kept in", "OVVIS_CACHE")


# Files that do not load strictly


def test_unused_tensors_alone_may_be_passed_over_without_fetching_again(server, entry, tmp_path, caplog):
    state = authors_checkpoint(build_tiny().state_dict())
    state["model"] |= {f"sem_seg_head.predictor.new.{i}.weight": torch.zeros(2, 3) for i in range(4)}
    torch.save(state, tmp_path / "b.pth")
    server.files["/b.pth"] = (tmp_path / "b.pth").read_bytes()
    one = entry("/b.pth")
    error = refused(
        one, "4 unknown (first: sem_seg_head.predictor.new.0.weight)", "--ignore-unused", "until you delete"
    )
    assert error.report.splitlines()[1:] == [
        "unused of the file: 4",
        "  sem_seg_head.predictor.new.0-3.weight  2x3  (4 tensors)",
    ]
    caplog.clear()
    fetch_weights(one, ignore_unused=True)
    assert len(server.asked) == 1 and "4 of its tensors are not used" in caplog.text
    assert names() == [FILE, RECORD] and load_model("clip-vis-r50").notes == ()
