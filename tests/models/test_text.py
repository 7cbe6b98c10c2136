import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fakes import build_tiny
from ovvis.errors import InputError
from ovvis.models import text as text_room
from ovvis.models.clip import ensemble
from ovvis.models.text import embed_vocabulary, embed_words, read_words
from ovvis.models.text_cache import TextCache
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary

WORDS = Vocabulary(["dog", ("cat", "kitten"), "red panda"])
PROMPTS = ("a {}", "the {}.")


@pytest.fixture(scope="module")
def clip(_tiny_clips):
    return build_tiny().clip


@pytest.fixture
def embedded(clip, monkeypatch):
    """The texts that the tower was asked for."""
    texts, real = [], clip.embed_texts

    def record(asked, *rest):
        texts.extend(asked)
        return real(asked, *rest)

    monkeypatch.setattr(clip, "embed_texts", record)
    return texts


def test_each_word_is_the_ensemble_of_its_prompts(clip):
    text = embed_vocabulary(clip, WORDS, PROMPTS)
    assert text.labels == ("dog", "cat", "red panda")
    assert text.label_of_row.tolist() == [0, 1, 1, 2]
    assert torch.allclose(text.vectors.norm(dim=-1), torch.ones(4), atol=1e-6)
    for row, word in enumerate(("dog", "cat", "kitten", "red panda")):
        alone = clip.embed_texts([f"a {word}", f"the {word}."])
        assert torch.allclose(text.vectors[row], ensemble(alone[None])[0], atol=1e-5)


def test_the_prompts_are_vilds_unless_others_are_asked_for(clip, embedded):
    embed_vocabulary(clip, Vocabulary(["dog"]))
    assert embedded == [prompt.replace("{}", "dog") for prompt in VILD_PROMPTS]


def test_second_time_runs_no_tower(clip, embedded, tmp_path):
    cache, progress = tmp_path / "new" / "cache.sqlite", []
    first = embed_vocabulary(clip, WORDS, PROMPTS, cache, lambda *n: progress.append(n))
    assert progress == [(4, 4)]
    assert len(embedded) == 8
    second = embed_vocabulary(clip, WORDS, PROMPTS, cache, lambda *n: progress.append(n))
    assert torch.equal(first.vectors, second.vectors)
    assert (len(embedded), len(progress)) == (8, 1)


def test_only_new_words_are_embedded(clip, embedded, tmp_path):
    cache = tmp_path / "cache.sqlite"
    embed_vocabulary(clip, WORDS, PROMPTS, cache)
    embedded.clear()
    other = Vocabulary(["zebra", ("kitten", "young cat"), "dog"])
    text = embed_vocabulary(clip, other, PROMPTS, cache)
    assert embedded == ["a zebra", "the zebra.", "a young cat", "the young cat."]
    plain = embed_vocabulary(clip, other, PROMPTS)
    assert torch.allclose(text.vectors, plain.vectors, atol=1e-6)
    assert text.labels == ("zebra", "kitten", "dog")


def test_words_differ_by_case(clip, embedded, tmp_path):
    cache = tmp_path / "cache.sqlite"
    embed_vocabulary(clip, Vocabulary(["dog"]), PROMPTS, cache)
    embed_vocabulary(clip, Vocabulary(["Dog"]), PROMPTS, cache)
    assert embedded[2:] == ["a Dog", "the Dog."]


@pytest.mark.parametrize("prompts", [("a {}",), ("the {}.", "a {}"), ("a {}", "the {}!")])
def test_other_prompts_are_another_key(clip, embedded, tmp_path, prompts):
    cache = tmp_path / "cache.sqlite"
    embed_vocabulary(clip, WORDS, PROMPTS, cache)
    embedded.clear()
    embed_vocabulary(clip, WORDS, prompts, cache)
    assert len(embedded) == 4 * len(prompts)


def test_other_weights_are_another_key(tmp_path):
    clip, cache = build_tiny().clip, tmp_path / "cache.sqlite"
    before = embed_vocabulary(clip, WORDS, PROMPTS, cache)
    clip.model.ln_final.weight.data.mul_(torch.linspace(0.5, 2, 32))
    after = embed_vocabulary(clip, WORDS, PROMPTS, cache)
    assert torch.equal(after.vectors, embed_vocabulary(clip, WORDS, PROMPTS).vectors)
    assert not torch.allclose(before.vectors, after.vectors, atol=1e-3)


def damage_header(path):
    path.write_bytes(b"this is no database" * 50)


def damage_middle(path):
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def other_table(path):
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE embedding (something TEXT)")
    database.close()


def short_vectors(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE embedding SET vector = x'00'")
    database.close()


def not_a_number(path):
    """As an interrupted copy, or a bad disk, leaves it: the right length, wrong values."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT rowid, vector FROM embedding").fetchall()
        for row, vector in rows:
            bad = np.full(24, np.nan, np.float32).tobytes() + vector[96:]
            database.execute("UPDATE embedding SET vector = ? WHERE rowid = ?", (bad, row))
    database.close()


def one_bit(path):
    with sqlite3.connect(path) as database:
        (row, vector) = database.execute("SELECT rowid, vector FROM embedding").fetchone()
        bad = bytes([vector[0] ^ 4]) + vector[1:]
        database.execute("UPDATE embedding SET vector = ? WHERE rowid = ?", (bad, row))
    database.close()


def as_text(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE embedding SET vector = 'text'")
    database.close()


def foreign(path):
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE bookmarks (address TEXT)")
    database.close()


def become_a_folder(path):
    path.unlink()
    path.mkdir()


ASIDE = ["cache.sqlite", "cache.sqlite.damaged"]
DAMAGE = {
    damage_header: ("it is now cache.sqlite.damaged", ASIDE),
    damage_middle: ("it is now cache.sqlite.damaged", ASIDE),
    truncate: ("it is now cache.sqlite.damaged", ASIDE),
    other_table: ("it is now cache.sqlite.damaged", ASIDE),
    foreign: ("it is now cache.sqlite.damaged", ASIDE),
    short_vectors: ("4 of the texts", ["cache.sqlite"]),
    not_a_number: ("4 of the texts", ["cache.sqlite"]),
    as_text: ("4 of the texts", ["cache.sqlite"]),
    one_bit: ("1 of the texts", ["cache.sqlite"]),
    become_a_folder: ("", ["cache.sqlite"]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_costs_time_only(clip, tmp_path, damage, caplog):
    said, files = DAMAGE[damage]
    cache = tmp_path / "cache.sqlite"
    wanted = embed_vocabulary(clip, WORDS, PROMPTS, cache)
    damage(cache)
    with caplog.at_level("WARNING", "ovvis"):
        for _ in range(2):  # and is whole after it
            got = embed_vocabulary(clip, WORDS, PROMPTS, cache)
            assert torch.allclose(got.vectors, wanted.vectors, atol=1e-6)
    assert len(caplog.messages) == bool(said) and said in "".join(caplog.messages)
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_nothing_that_was_set_aside_is_lost(clip, tmp_path):
    cache = tmp_path / "cache.sqlite"
    for text in ("first", "second"):
        cache.write_text(text * 100)
        embed_vocabulary(clip, WORDS, PROMPTS, cache)
    kept = [tmp_path / f"cache.sqlite.damaged{end}" for end in ("", "-2")]
    assert [path.read_text()[:5] for path in kept] == ["first", "secon"]


def test_what_is_not_finite_is_not_kept(tmp_path):
    with TextCache.open(tmp_path / "cache.sqlite", ["a"], 3) as cache:
        cache.write(["dog", "cat"], torch.tensor([[1.0, 0, 0], [float("nan"), 0, 0]]))
        assert set(cache.read(["dog", "cat"])) == {"dog"}


def test_a_cache_that_can_only_be_read(clip, embedded, tmp_path, monkeypatch):
    cache = tmp_path / "cache.sqlite"
    wanted = embed_vocabulary(clip, WORDS, PROMPTS, cache)
    before = cache.read_bytes()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **more: connect(f"file:{path}?mode=ro", uri=True, **more))
    embedded.clear()
    assert torch.equal(embed_vocabulary(clip, WORDS, PROMPTS, cache).vectors, wanted.vectors) and embedded == []
    embed_vocabulary(clip, Vocabulary(["zebra"]), PROMPTS, cache)
    assert embedded and cache.read_bytes() == before
    assert embed_vocabulary(clip, WORDS, PROMPTS, tmp_path / "none.sqlite").vectors.shape == (4, 24)
    assert [path.name for path in tmp_path.iterdir()] == ["cache.sqlite"]


def test_a_folder_that_cannot_be_made(clip, tmp_path):
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache.sqlite"
    assert embed_vocabulary(clip, WORDS, PROMPTS, cache).vectors.shape == (4, 24)


def test_interrupted_run_keeps_what_it_has(clip, embedded, tmp_path, monkeypatch):
    monkeypatch.setattr(text_room, "WORDS_A_WRITE", 2)

    def interrupt(done, count):
        raise KeyboardInterrupt

    cache = tmp_path / "cache.sqlite"
    with pytest.raises(KeyboardInterrupt):
        embed_vocabulary(clip, WORDS, PROMPTS, cache, interrupt)
    embedded.clear()
    progress = []
    embed_vocabulary(clip, WORDS, PROMPTS, cache, lambda *n: progress.append(n))
    assert embedded == ["a kitten", "the kitten.", "a red panda", "the red panda."]
    assert progress == [(2, 2)]


def test_refusals(clip):
    with pytest.raises(InputError, match="'long long"):
        embed_vocabulary(clip, Vocabulary(["long " * 80]), PROMPTS)
    with pytest.raises(InputError, match="'a dog'"):
        embed_vocabulary(clip, WORDS, ["a dog"])


def test_one_road(clip, tmp_path):
    """What CLIP reads, what a file holds and what weights bring come out alike; only the first reads words."""
    model = SimpleNamespace(name="tiny", clip=clip, texts=None)
    read = embed_words(read_words(WORDS, PROMPTS), model)
    torch.testing.assert_close(read.text.vectors, embed_vocabulary(clip, WORDS, PROMPTS).vectors)
    assert read.text.synonyms == tuple(label.synonyms for label in WORDS)
    assert (read.vocabulary, read.words.prompts, read.digest) == (WORDS, tuple(PROMPTS), None)

    rows = torch.nn.functional.normalize(torch.eye(len(WORDS), clip.width) + 1, dim=-1)
    np.save(tmp_path / "rows.npy", rows.numpy())
    given = embed_words(read_words(WORDS, given=tmp_path / "rows.npy"), model)
    torch.testing.assert_close(given.text.vectors, rows)
    assert given.words.prompts == ()
    assert len(given.digest) == 64

    model.texts = TextEmbeddings(rows, torch.arange(len(WORDS)), WORDS.names)
    brought = embed_words(read_words(None), model)
    assert (brought.vocabulary.names, brought.digest) == (WORDS.names, given.digest)


def test_roads_that_end(clip):
    model = SimpleNamespace(name="tiny", clip=clip, texts=None)
    with pytest.raises(InputError, match="tiny brings no vocabulary"):
        embed_words(read_words(None), model)
    with pytest.raises(InputError, match="say which"):
        read_words(None, given="rows.npy")
    narrow = TextEmbeddings(torch.eye(len(WORDS), 3), torch.arange(len(WORDS)), WORDS.names)
    with pytest.raises(InputError, match="3 numbers in a row"):
        embed_words(read_words(WORDS, given=narrow), model)
