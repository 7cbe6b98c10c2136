import pytest

from ovvis.file_kind import foreign


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
        (b"\n  <!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf<HTML>", "web page"),
        (b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>", "Google Drive's page"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"%PDF-1.4", "PDF"),
    ],
)
def test_told(head, what):
    assert what in foreign(head)[0]


@pytest.mark.parametrize("head", [b"dog\ncat", b"PK\x03\x04", b"\x80\x02}q", b"{", b"<dog>", b"version 3"])
def test_not_told(head):
    assert foreign(head) is None
