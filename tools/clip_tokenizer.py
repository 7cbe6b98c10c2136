"""Makes the small CLIP's tokenizer: byte pairs that are frequent in the words and prompts it is trained with.

    python tools/clip_tokenizer.py src/ovvis/models/clips/clip-stickers.merges.txt.gz

The merges are what Sennrich et al. (2016) describe: again and again the most frequent pair of neighbours becomes one
token, the first in the alphabet where two are as frequent. A name counts thrice, a synonym and a word of another
dataset's list once, so that any English noun takes a few tokens and a known one takes one or two.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

from ovvis.models.clip import packaged_config
from ovvis.training.clip_words import PROMPTS, foreign_words
from ovvis.vocabulary import Vocabulary

MARKS = 2  # start and end
BYTES = 256


def main(target: Path) -> None:
    """Write the merges for the vocabulary size that the configuration states."""
    config = packaged_config("clip-stickers")
    if config is None:
        raise SystemExit("clip-stickers has no configuration")
    wanted = config["text_cfg"]["vocab_size"] - 2 * BYTES - MARKS
    counts: Counter[str] = Counter()
    for label in Vocabulary.builtin("stickers", synonyms=True):
        for i, word in enumerate(label.synonyms):
            counts.update(dict.fromkeys(_parts(word), 3 if i == 0 else 1))
    for word in (*foreign_words(), *foreign_words(held_out=True)):
        counts.update(_parts(word))
    for prompt in PROMPTS:
        counts.update(dict.fromkeys(_parts(prompt.replace("{}", " ")), 40))
    merges = learn(counts, wanted)
    text = "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:  # no date: the same words make the same file
        file.write(text.encode())
    target.write_bytes(packed.getvalue())
    print(f"{target}: {len(merges)} merges, {target.stat().st_size:,} bytes")


def learn(counts: Counter[str], wanted: int) -> list[tuple[str, str]]:
    """Return the first merges of words with their counts."""
    words = {(*word[:-1], word[-1] + "</w>"): count for word, count in counts.items()}
    merges = []
    for _ in range(wanted):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            raise SystemExit(f"only {len(merges)} merges are to be had; make the vocabulary smaller")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(word, best): count for word, count in words.items()}
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for token in word:
        if out and (out[-1], token) == pair:
            out[-1] += token
        else:
            out.append(token)
    return tuple(out)


def _parts(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
