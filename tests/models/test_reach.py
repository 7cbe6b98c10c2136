"""Whether there is a network, told within moments."""

import socket
import threading
import time

import pytest

from misbehaving import serving
from ovvis.models import reach
from ovvis.models.reach import unreachable

DEAD = "http://127.0.0.1:9/a"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setattr(reach, "getproxies", dict)


def test_one_that_answers_is_enough():
    with serving() as server:
        assert unreachable([server.address + "/a"]) is None
        assert unreachable([DEAD, server.address]) is None
    assert unreachable([DEAD]) == "127.0.0.1: the connection was refused"
    assert "nowhere.invalid: its name is not known" in unreachable(["https://nowhere.invalid/a"])
    assert unreachable([]) == "there is no address to ask"


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(reach, "WAIT", 0.05)
    monkeypatch.setattr(socket, "create_connection", lambda *args, **more: free.wait(5) and socket.socket())
    begun = time.monotonic()
    assert unreachable(["https://x.org/a", "https://y.org/b"]) == "x.org, y.org: no answer within 0.05 s"
    assert time.monotonic() - begun < 4
    free.set()


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda place, timeout: asked.append(place) or socket.socket())
    for proxies in ({"https": "http://proxy:3128"}, {"https": "proxy:3128"}, {"all": "socks5://proxy"}, {}):
        monkeypatch.setattr(reach, "getproxies", lambda proxies=proxies: proxies)
        assert unreachable(["https://x.org/a"]) is None
    monkeypatch.setattr(reach, "getproxies", lambda: {"https": "http://proxy:3128"})
    monkeypatch.setattr(reach, "proxy_bypass", lambda host: host == "x.org")
    assert unreachable(["https://x.org:444/a"]) is None
    assert asked == [("proxy", 3128), ("proxy", 3128), ("proxy", 1080), ("x.org", 443), ("x.org", 444)]
