import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from ovvis.errors import InputError, ResourceError
from ovvis.vocabulary import Vocabulary
from ovvis.world import packages, sprites
from ovvis.world.categories import categories
from ovvis.world.drawing import SIDE, Drawings, on_grey
from ovvis.world.packages import PACKAGES, fetch
from ovvis.world.sprites import Sprites, load_sprites
from tiny_world import tiny_sprites


def packed(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_the_list():
    known = categories()
    assert len(known) >= 300
    base = sum(category.split == "base" for category in known) / len(known)
    assert 0.6 < base < 0.72
    for group in {category.group for category in known}:  # the split is even over the groups
        split = [category.split for category in known if category.group == group]
        assert 0.6 < split.count("base") / len(split) < 0.72
    words = [word.casefold() for category in known for word in category.synonyms]
    assert len(set(words)) == len(words)
    families = {package.name: package.family for package in PACKAGES}
    for category in known:
        assert category.synonyms[0] == category.name
        shown, kept = ({families[d.package] for d in category.drawings if d.reserved is r} for r in (False, True))
        assert len(shown) >= 2 and kept, category.name
        assert not {"fluent"} <= (shown & kept), "the flat drawing of what is reserved is reserved too"
    assert len(Vocabulary.builtin("stickers", synonyms=True)) == len(known)
    assert Vocabulary.builtin("stickers").names == tuple(category.name for category in known)


def test_a_file_of_sprites_comes_back(tmp_path):
    made = tiny_sprites()
    made.save(tmp_path / "s.safetensors")
    read = Sprites.load(tmp_path / "s.safetensors")
    assert (read.entries, read.categories, read.digest) == (made.entries, made.categories, made.digest)
    assert all((read.pixels(i) == made.pixels(i)).all() for i in range(len(made)))
    made.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "s.safetensors").read_bytes()
    (tmp_path / "s.safetensors").write_bytes(b"no sprites")
    with pytest.raises(InputError, match="holds no sprites: remove it"):
        Sprites.load(tmp_path / "s.safetensors")
    with pytest.raises(InputError, match="make them with ovvis world build"):
        load_sprites(tmp_path / "none")


def test_drawings_of_webp(tmp_path):
    image = Image.new("RGBA", (256, 256))
    image.paste((200, 100, 0, 255), (64, 96, 192, 160))  # 128 wide, 64 high
    data = io.BytesIO()
    image.save(data, "WEBP", lossless=True)
    held = Drawings(PACKAGES[2], packed(tmp_path / "p.tgz", {"assets/1f400.webp": data.getvalue()}))
    sprite = held.draw("1f400")
    assert held.names == {"1f400"} and sprite.shape == (SIDE // 2, SIDE, 4)
    assert sprite[10, 10].tolist() == [200, 100, 0, 255]
    assert (on_grey(np.zeros((1, 1, 4), dtype=np.uint8)) == 128).all()
    with pytest.raises(InputError, match="has no drawing 'rat'"):
        held.draw("rat")


def test_drawings_of_svg(tmp_path):
    pytest.importorskip("resvg_py")
    icons = {
        "width": 32,
        "height": 32,
        "icons": {"dot": {"body": '<circle cx="16" cy="16" r="8" fill="#0a0"/>'}, "air": {"body": ""}},
        "aliases": {"spot": {"parent": "dot"}, "turned": {"parent": "dot", "hFlip": True}},
    }
    held = Drawings(PACKAGES[0], packed(tmp_path / "p.tgz", {"icons.json": json.dumps(icons).encode()}))
    assert held.names == {"dot", "air", "spot"}
    sprite = held.draw("spot")
    assert sprite.shape == (SIDE, SIDE, 4) and sprite[64, 64].tolist() == [0, 170, 0, 255]
    assert (sprite[..., :3] <= sprite[..., 3:]).all() and sprite[2, 2, 3] == 0
    with pytest.raises(InputError, match="'air' is empty"):
        held.draw("air")
    with pytest.raises(InputError, match="holds no drawings"):
        Drawings(PACKAGES[0], packed(tmp_path / "q.tgz", {"README.md": b""}))


def test_no_npm_and_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(ResourceError, match=r"no npm here: install Node\.js"):
        fetch(PACKAGES[0], tmp_path)
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)

    class Failed:
        returncode, stdout, stderr = 1, "", "npm ERR! network\nnpm ERR! ENOTFOUND"

    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: Failed)
    with pytest.raises(
        ResourceError, match=r"could not fetch @iconify-json/noto@1\.2\.9 .*ENOTFOUND.*check the network"
    ):
        fetch(PACKAGES[0], tmp_path)


def test_another_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)

    class Done:
        returncode, stdout, stderr = 0, "", ""

    def pack(command, **settings):
        with open(f"{command[-1]}/{PACKAGES[0].archive}", "wb") as file:  # noqa: PTH123
            file.write(b"other")
        return Done

    monkeypatch.setattr(packages.subprocess, "run", pack)
    with pytest.raises(InputError, match="is not the pinned archive"):
        fetch(PACKAGES[0], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_sprites_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path))
    first = sprites.sprites_path()
    assert first.parent == tmp_path / "world"
    monkeypatch.setattr(sprites, "listing", lambda: b"[]")
    assert sprites.sprites_path() != first  # another list, another file
