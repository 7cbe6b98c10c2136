import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from ovvis.errors import InputError
from ovvis.models.checkpoint import read_checkpoint, write_checkpoint

NAME = "sem_seg_head.predictor.query_feat.weight"
OURS = "network.query_decoder.query_features"


def refused(path, *named):
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    for name in (str(path), *named):
        assert name in message, message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [lambda s: {"model": s, "iteration": 3}, lambda s: {"state_dict": s}, lambda s: s])
def test_authors_files(tmp_path, wrap, zipped):
    path = tmp_path / "a.pth"
    torch.save(wrap({NAME: torch.ones(2, 3)}), path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(str(path))
    assert list(checkpoint.state) == [OURS]
    assert torch.equal(checkpoint.state[OURS], torch.ones(2, 3))
    assert (checkpoint.family, checkpoint.config) == (None, None)


@pytest.mark.parametrize("name", ["a.safetensors", "renamed.pth", "bare"])
def test_our_files(tmp_path, name):
    path = tmp_path / "new folder" / name
    write_checkpoint(path, {OURS: torch.ones(3, 2).T}, "clip-vis", {"queries": 3})
    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint.state[OURS], torch.ones(2, 3))
    assert (checkpoint.family, checkpoint.config) == ("clip-vis", {"queries": 3})
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_checkpoint(tmp_path / "file" / "a.safetensors", {OURS: torch.ones(1)}, "clip-vis", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_checkpoint(tmp_path / "folder", {OURS: torch.ones(1)}, "clip-vis", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_absent(tmp_path):
    refused(tmp_path / "none.pth", "does not exist")
    refused(tmp_path, "is a folder")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\x00" * 100, b"PK\x03\x04 no zip", b"\x80\x02"])
def test_no_checkpoint(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_truncated(tmp_path, share, kind):
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    if kind == "safetensors":
        write_checkpoint(path, {OURS: torch.ones(100, 30)}, "clip-vis", {})
    else:
        torch.save({"model": {NAME: torch.ones(100, 30)}}, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path)


class Evil:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.system, (f"touch {self.flag}",)


@pytest.mark.parametrize("kind", ["zip", "old", "bare"])
def test_a_file_that_would_execute_code(tmp_path, kind):
    path, flag = tmp_path / "a.pth", tmp_path / "executed"
    content = {"model": {NAME: torch.ones(1)}, "optimizer": Evil(flag)}
    if kind == "bare":
        path.write_bytes(pickle.dumps({"model": Evil(flag)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    refused(path, "system")
    assert not flag.exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": {NAME: 3}}, {"model": [torch.ones(1)]}, 7])
def test_no_tensors(tmp_path, content):
    path = tmp_path / "a.pth"
    torch.save(content, path)
    refused(path, "no tensors")


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({OURS: torch.ones(1)}, path)
    refused(path, "not written by ovvis")


@pytest.mark.parametrize(
    "note", ["{", "[]", "{}", json.dumps({"family": "x", "config": 3}), json.dumps({"config": {}})]
)
def test_damaged_metadata(tmp_path, note):
    path = tmp_path / "a.safetensors"
    save_file({OURS: torch.ones(1)}, path, metadata={"ovvis": note})
    refused(path, "damaged metadata")


def test_a_text_file(tmp_path):
    path = tmp_path / "a.pth"
    path.write_text("no video")
    refused(path, "no PyTorch file (it holds no tensors); fetch it again")  # and not PyTorch's advice on its options


def test_a_checkpoint_is_for_whom_the_umask_says(tmp_path):
    plain, ours = tmp_path / "plain", tmp_path / "ours.safetensors"
    plain.touch()
    write_checkpoint(ours, {"a": torch.zeros(2)}, "clip-vis", {})
    assert ours.stat().st_mode == plain.stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.safetensors", "plain"]
