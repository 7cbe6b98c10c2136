"""Seeded damage to files: what a bad copy, an editor or another program makes of them."""

import os

TRIES = int(os.environ.get("OVVIS_FUZZ", "300"))

SIGNS = [
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\n",
    b"\r",
    b"'",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b",",
    b";",
    b"|",
    b"#",
    b"-",
]
SIGNS += [
    b"&a ",
    b"*a ",
    b"!!int ",
    b"1e999",
    b"-1",
    b"null",
    b"NaN",
    b"9" * 30,
    b"\t",
    b"@",
    b"\\u0000",
    b"\xef\xbb\xbf",
]


def damaged(content, dice):
    """Return bytes with one to four changes: cut, doubled, shuffled, a byte or a sign put in."""
    for _ in range(dice.randint(1, 4)):
        a, b = sorted(dice.randint(0, len(content)) for _ in range(2))
        match dice.randint(0, 6):
            case 0:
                content = content[:a]
            case 1:
                content = content[:a] + content[b:]
            case 2:
                content = content[:b] + content[a : min(b, a + 1000)] + content[b:]
            case 3:
                content = content[:a] + bytes([dice.randint(0, 255)]) + content[a + 1 :]
            case 4 | 5:
                content = content[:a] + dice.choice(SIGNS) * dice.choice([1, 1, 1, 100]) + content[a:]
            case 6:
                content = content[a:] + content[:a]
    return content
