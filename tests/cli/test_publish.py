"""`ovvis models publish`, into a Hub on this machine that takes files or refuses them."""

import hashlib
import re
import sys
from dataclasses import asdict, replace

import pytest
import torch
from huggingface_hub import constants

from fakes import authors_checkpoint, build_tiny, tiny_config
from misbehaving import serving
from ovvis.cli import main as cli
from ovvis.models import zoo
from ovvis.models.checkpoint import read_checkpoint, write_checkpoint
from ovvis.models.sources import Hub, Url
from taking import Hub as Server

CLIP_VIS, OV2SEG = "clip-vis-stickers", "ov2seg-r50"
FILE = f"{CLIP_VIS}.safetensors"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # whose protocol no small server speaks
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    with serving(Server) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_TOKEN", "good")
        yield running


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ovvis", "models", "publish", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            cli.run()
        printed = capsys.readouterr()
        errors = [line for line in printed.err.splitlines() if line.startswith("ovvis: ")]
        if leave.value.code:
            assert len(errors) == 1 and "Traceback" not in printed.err
        return leave.value.code or 0, printed.out, errors[0] if errors else printed.err

    return call


@pytest.fixture
def own(tmp_path):
    model = build_tiny()
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, model.state_dict(), model.family, asdict(model.config))
    return path


def test_a_model_and_its_card_go_in_one_commit_and_come_back(hub, call, monkeypatch, tmp_path):
    code, printed, _ = call(CLIP_VIS, "--to", "me/models", "--private")
    assert code == 0
    assert hub.made["visibility"] == "private" or hub.made.get("private")
    files = hub.repositories["me/models"]
    assert sorted(files) == ["README.md", FILE] and len(hub.commits["me/models"]) == 2
    digest = hashlib.sha256(files[FILE]).hexdigest()
    card = files["README.md"].decode()
    for said in ("license: apache-2.0", "arxiv.org/abs/2403.12455", digest, "ovvis segment VIDEO", "Apache-2.0"):
        assert said in card
    pin = Hub("me/models", FILE, hub.commits["me/models"][-1], size=len(files[FILE]), sha256=digest)
    assert repr(pin) in printed
    # What was published is the model: it loads by the line that was printed.
    entry = replace(zoo.ZOO[CLIP_VIS], sources=(pin,))
    from ovvis.models.own_weights import fetch_weights

    assert read_checkpoint(fetch_weights(entry, folder=tmp_path)).family == "clip-vis"
    # The same again sends nothing.
    code, printed, said = call(CLIP_VIS, "--to", "me/models")
    assert not code, said
    assert len(hub.commits["me/models"]) == 2 and hub.commits["me/models"][-1] in printed


def test_a_dry_run_shows_the_card_and_sends_nothing(hub, call, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    code, printed, _ = call(CLIP_VIS, "--to", "me/models", "--dry-run")
    assert code == 0 and "SHA-256" in printed and "Nothing was sent" in printed
    assert hub.calls == ["look"] and not hub.repositories
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    code, printed, said = call(CLIP_VIS, "--to", "me/models", "--dry-run")
    assert code == 0 and "as if it were new" in said
    code, _, said = call(CLIP_VIS, "--to", "me/models")
    assert code == 2 and "OVVIS_OFFLINE=1" in said


@pytest.mark.parametrize(
    ("fails", "token", "to", "told"),
    [
        ({}, None, "me/models", "no token .*hf auth login"),
        ({}, "other", "me/models", "does not know this token"),
        ({}, "good", "you/models", "may not write to you/models"),
        ({"look": 500}, "good", "me/models", "answered 500"),
        ({"look": "cut"}, "good", "me/models", "broke off|disconnected"),
        ({"create": "cut"}, "good", "me/new", "nothing was published"),
        ({"preupload": 403}, "good", "me/new", "the repository was made and is empty"),
        ({"preupload": 403}, "good", "me/models", "may not write .*nothing was published"),
        ({"batch": 500}, "good", "me/models", "500.*nothing was published"),
        ({"put": "cut"}, "good", "me/models", "nothing was published"),
        ({"put": 403}, "good", "me/models", "nothing was published"),
        ({"commit": 500}, "good", "me/models", "answered 500.*nothing was published"),
        ({"commit": "cut"}, "good", "me/models", "nothing was published"),
    ],
)
def test_what_goes_wrong_is_one_line_and_nothing_is_half_there(hub, call, monkeypatch, own, fails, token, to, told):
    hub.holds("me/models", README__md=b"# mine")
    hub.holds("you/models", README__md=b"# yours")
    before = {name: dict(files) for name, files in hub.repositories.items()}
    hub.fails |= fails
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    code, printed, said = call(own, "--to", to, "--licence", "mit")
    assert code == 2
    assert re.search(told, said), said
    assert {name: files for name, files in hub.repositories.items() if files} == before
    assert "To pin it" not in printed


def test_only_the_answer_was_lost(hub, call, own):
    hub.holds("me/models")
    hub.fails["commit"] = "late"
    code, printed, _ = call(own, "--to", "me/models", "--licence", "mit")
    assert code == 0 and hub.commits["me/models"][-1] in printed
    assert sorted(hub.repositories["me/models"]) == ["README.md", "mine.safetensors"]


def test_what_came_in_the_meantime_is_looked_at(hub, call, own, monkeypatch):
    hub.holds("me/models")
    from ovvis.models import publish

    was = publish.check_licences

    def and_somebody_commits(*arguments):
        was(*arguments)
        hub.commits["me/models"].append("1" * 40)

    monkeypatch.setattr(publish, "check_licences", and_somebody_commits)
    code, _, said = call(own, "--to", "me/models", "--licence", "mit")
    assert code == 2 and "changed in the meantime" in said and not hub.repositories["me/models"]


@pytest.mark.parametrize(
    ("files", "licence", "told"),
    [
        ({"README__md": b"---\nlicense: gpl-3.0\n---\n"}, "mit", "is said to be under gpl-3.0"),
        ({"README__md": b"---\nlicense: mit\n---\n"}, "gpl-3.0", "is said to be under mit"),
        ({"LICENSE": b"GNU GENERAL PUBLIC LICENSE\nVersion 3"}, "mit", "is said to be under gpl-3.0"),
        ({"COPYING": b"GNU AFFERO GENERAL PUBLIC LICENSE"}, "gpl-3.0", "is said to be under agpl-3.0"),
        ({"ov2seg-r50__safetensors": b"w"}, "mit", "holds ov2seg-r50.safetensors .gpl-3.0"),
        ({"clip-vis-r50__pth": b"w"}, "gpl-3.0", "holds clip-vis-r50.pth .apache-2.0"),
        ({"w__bin": b"w"}, "gpl-3.0", "nothing there says under what licence"),
        ({"w__bin": b"w"}, "mit", "nothing there says under what licence"),
        (
            {"w__safetensors": b"w", "README__md": b"<!-- ovvis w.safetensors licence gpl-3.0 -->"},
            "mit",
            "holds w.safetensors .gpl-3.0",
        ),
        ({"w__bin": b"w", "README__md": b"---\nlicense: gpl-3.0\n---\n"}, "gpl-3.0", None),
        ({"w__bin": b"w", "README__md": b"---\nlicense: mit\n---\n# Mine\n\nkept\n"}, "apache-2.0", None),
        ({"mine__safetensors": b"older"}, "gpl-3.0", None),
    ],
)
def test_weights_under_a_gpl_lie_with_their_like_alone(hub, call, own, files, licence, told):
    hub.holds("me/models", **files)
    code, _, said = call(own, "--to", "me/models", "--licence", licence)
    if told is not None:
        assert code == 2 and re.search(told, said), said
        assert "commit" not in hub.calls
        return
    assert code == 0
    card = hub.repositories["me/models"]["README.md"].decode()
    assert f"licence {licence} -->" in card
    if b"kept" in files.get("README__md", b""):
        assert "# Mine\n\nkept" in card and "license: other" in card


def test_a_file_published_again_changes_its_own_section(hub, call, own, tmp_path):
    hub.holds("me/models")
    assert call(own, "--to", "me/models", "--licence", "mit")[0] == 0
    assert call(CLIP_VIS, "--to", "me/models")[0] == 0
    first = hub.repositories["me/models"]["README.md"].decode()
    assert first.count("<!-- ovvis end") == 2 and "license: other" in first
    model = build_tiny()
    state = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()}
    write_checkpoint(own, state, model.family, asdict(model.config))
    assert call(own, "--to", "me/models", "--licence", "mit")[0] == 0
    second = hub.repositories["me/models"]["README.md"].decode()
    changed = [a for a, b in zip(first.splitlines(), second.splitlines(), strict=True) if a != b]
    assert len(changed) == 1 and "SHA-256" in changed[0]


def test_authors_publish_their_file_and_others_have_it_as_a_mirror(hub, call, monkeypatch, tmp_path):
    model = build_tiny()
    raw = tmp_path / "theirs.pth"
    torch.save(authors_checkpoint(model.state_dict()), raw)
    entry = replace(zoo.ZOO["clip-vis-r50"], config=tiny_config(), sources=(Url("http://127.0.0.1:9/gone"),))
    monkeypatch.setitem(zoo.ZOO, entry.name, entry)
    assert call(entry.name, "--weights", raw, "--to", "me/models")[0] == 0
    card = hub.repositories["me/models"]["README.md"].decode()
    assert "LV-VIS val | 19.5" in card and "github.com/zwq456" in card
    mirror = next(line.split()[0] for line in card.splitlines() if line.startswith("OVVIS_MIRROR="))
    monkeypatch.setenv(*mirror.split("="))
    from ovvis.models.own_weights import fetch_weights

    assert fetch_weights(entry).is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["clip-vis-r5", "--to", "me/x"], "did you mean clip-vis-r50"),
        (["gone.safetensors", "--to", "me/x", "--licence", "mit"], "does not exist"),
        ([CLIP_VIS, "--to", "x"], "OWNER/NAME"),
        ([CLIP_VIS, "--to", "me/x", "--name", "a/b"], "no folder"),
        ([CLIP_VIS, "--to", "me/x", "--name", "clip-vis-r50"], "is a model of"),
        (["mine", "--to", "me/x", "--licence", "the best"], "short name"),
        (["mine", "--to", "me/x"], "a checkpoint of your own"),
        (["mine", "--to", "me/x", "--weights", "other.pth"], "leave it out"),
        ([OV2SEG, "--to", "me/x", "--licence", "mit"], "lies under gpl-3.0"),
        (["ov-dvis-r50", "--to", "me/x"], "its authors state none"),
    ],
)
def test_what_cannot_be_asked_for(hub, call, own, arguments, told):
    code, _, said = call(*(own if word == "mine" else word for word in arguments))
    assert code == 2 and told in said
    assert not hub.repositories
