"""Uploads that break off or fall silent, over a real connection."""

import socket
import time

import pytest
import requests
from page import MODEL, limits, served


@pytest.fixture
def page(tmp_path):
    with served(tmp_path, limits=limits(silence=0.5)) as page:
        visitor = requests.Session()
        assert visitor.get(page.address, timeout=20).ok
        yield page.address, visitor
    assert list(tmp_path.iterdir()) == []


def begun(page, content=b"x" * 1000):
    """Begin an upload that states more than it brings; return the connection and what tells of the job."""
    address, visitor = page
    wish = {"name": "dog.mp4", "size": 100_000, "words": "dog", "model": MODEL}
    id = visitor.post(f"{address}api/jobs", json=wish, timeout=20).json()["id"]
    port = int(address.rsplit(":", 1)[1].strip("/"))
    line = socket.create_connection(("127.0.0.1", port))
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    head = f"PUT /api/jobs/{id}/video HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Length: 100000\r\n\r\n"
    line.sendall(head.encode() + content)
    return line, lambda: visitor.get(f"{address}api/jobs/{id}", timeout=20).json()


def ended(told, state, error):
    end = time.monotonic() + 120
    while (now := told())["state"] != state:
        assert time.monotonic() < end, now
        time.sleep(0.05)
    assert now["error"] == error


def test_a_browser_that_goes_away_ends_its_upload(page):
    line, told = begun(page)
    line.close()
    ended(told, "cancelled", "its upload was broken off")


def test_an_upload_that_falls_silent_is_let_go(page):
    line, told = begun(page)
    with line:
        assert line.recv(12) == b"HTTP/1.1 408"
        ended(told, "failed", "the upload brought nothing for 0.5 s: try again")
