import unicodedata

import pytest

from ovvis.plain import cell, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dog", "dog"),
        ("a\nb\tc", "a\nb\tc"),
        ("Zürich 犬 كلب שלום 👩‍🚀", "Zürich 犬 كلب שלום 👩‍🚀"),  # letters from right to left, and joined signs
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\bc\x7f", r"a\rb\x08c\x7f"),
        ("exe.\u202egpj", r"exe.\u202egpj"),
        ("\u2067x\u2069\ufeff\u200b", r"\u2067x\u2069\ufeff\u200b"),
        ("\udcff", r"\udcff"),
        ("\u2028\U000e0041", r"\u2028\U000e0041"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown
    assert visible(visible(text)) == shown


def test_no_control_character_is_left():
    every = "".join(map(chr, range(0x3000)))
    assert {c for c in visible(every) if unicodedata.category(c) == "Cc"} == {"\n", "\t"}
    assert not {c for c in visible(every) if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI")}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1-2", "-dog", "@SUM(A1)", "\tx", "\rx", "\nx", " =1", "＝1", "-0.5.1", "--1"]
)
def test_formulas_are_no_formulas(text):
    assert cell(text) == "'" + text


@pytest.mark.parametrize("value", ["dog", "-0.5", "+1e-9", "-inf", "nan", "", -0.5, 3, None, "a=b", "'=1"])
def test_numbers_and_words_stay(value):
    assert cell(value) is value
