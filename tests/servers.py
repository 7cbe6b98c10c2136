"""Servers of this machine that send videos: over HTTP, UDP and RTSP, well and badly."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKET = 7 * 188  # bytes of a transport stream in a datagram


@contextmanager
def tcp_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Give the port of a server that answers each connection in a thread of its own."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def one(client: socket.socket) -> None:
        with suppress(OSError):
            answer(client)
            client.shutdown(socket.SHUT_RDWR)
            client.close()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            held.append(client)
            threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next
        for one_socket in (server, *held):
            one_socket.close()


def request(client: socket.socket) -> tuple[str, dict[str, str]]:
    """Return the first line and the headers of what a client asks; empty where it left."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        more = client.recv(1)
        if not more:
            return "", {}
        text += more
    first, *rest = text.decode().strip().split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}


@contextmanager
def http_server(
    files: dict[str, bytes],
    *,
    ranges: bool = True,
    cut: float = 0.0,
    pause: float = 0.0,
    asked: list[str] | None = None,
) -> Iterator[str]:
    """Give the address of a server of files.

    Args:
        files: what lies under a path without a slash in front; may change.
        ranges: whether a part of a file can be asked for.
        cut: bytes after which it hangs up, as a share of the file; 0 for never.
        pause: seconds between pieces of 1000 bytes.
        asked: takes the requests' first lines and ranges.
    """

    def answer(client: socket.socket) -> None:
        first, headers = request(client)
        name = first.split(" ")[1].lstrip("/").partition("?")[0] if first else ""
        if asked is not None:
            asked.append(f"{first} {headers.get('range', '')}")
        if name not in files:
            client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        data = files[name]
        begin = int(headers["range"].split("=")[1].split("-")[0]) if ranges and "range" in headers else None
        part = data[begin or 0 :]
        lines = [f"HTTP/1.1 {'200 OK' if begin is None else '206 Partial Content'}", f"Content-Length: {len(part)}"]
        lines += ["Connection: close"]
        if begin is not None:
            lines += ["Accept-Ranges: bytes", f"Content-Range: bytes {begin}-{len(data) - 1}/{len(data)}"]
        client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        part = part[: int(cut * len(data))] if cut else part
        for at in range(0, len(part), 1000) if pause else ():
            client.sendall(part[at : at + 1000])
            time.sleep(pause)
        if not pause:
            client.sendall(part)

    with tcp_server(answer) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def udp_sender(data: bytes, rounds: int | None = None, pause: float = 0.005) -> Iterator[str]:
    """Give the address to which a transport stream is sent, again and again or a number of times."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    over = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(rounds) if rounds is not None else itertools.count():
                for at in range(0, len(data), PACKET):
                    if over.is_set():
                        return
                    with suppress(OSError):
                        out.sendto(data[at : at + PACKET], ("127.0.0.1", port))
                    time.sleep(pause)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield f"udp://127.0.0.1:{port}"
    finally:
        over.set()
        thread.join()


@contextmanager
def rtsp_server(data: bytes, times: int = 1, pause: float = 0.002, udp: bool = False) -> Iterator[str]:
    """Give the address of an RTSP server that sends a transport stream as RTP (payload 33), then hangs up.

    Args:
        data: the transport stream.
        times: how many connections it serves; it refuses those that follow.
        pause: seconds between packets.
        udp: whether it sends by UDP alone, else over the connection alone.
    """
    served = itertools.count()

    def answer(client: socket.socket) -> None:
        if next(served) >= times:
            return
        target: tuple[str, int] | None = None
        while True:
            first, headers = request(client)
            if not first:
                return
            verb, body, extra = first.split(" ")[0], "", ""
            status = "200 OK"
            if verb == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
                extra = "Content-Type: application/sdp\r\n"
            elif verb == "SETUP":
                asked = headers["transport"]
                if ("interleaved" in asked) == udp:
                    status = "461 Unsupported Transport"
                elif udp:
                    port = int(asked.split("client_port=")[1].split("-")[0])
                    target = ("127.0.0.1", port)
                    extra = (
                        f"Session: 1\r\nTransport: RTP/AVP;unicast;client_port={port}-{port + 1};server_port=9-10\r\n"
                    )
                else:
                    extra = "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            head = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{extra}Content-Length: {len(body)}"
            client.sendall(f"{head}\r\n\r\n{body}".encode())
            if verb == "PLAY":
                break
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number, at in enumerate(range(0, len(data), PACKET)):
                rtp = bytes([0x80, 33]) + number.to_bytes(2, "big") + (number * 900).to_bytes(4, "big") + b"ovvs"
                packet = rtp + data[at : at + PACKET]
                if target is not None:
                    out.sendto(packet, target)
                else:
                    client.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                time.sleep(pause)

    with tcp_server(answer) as port:
        yield f"rtsp://127.0.0.1:{port}/live"


def transport_stream(path: Path) -> bytes:
    """Return a file's bytes, whole packets of a transport stream."""
    data = path.read_bytes()
    assert len(data) % 188 == 0
    return data


def until(good: Callable[[], object]) -> None:
    """Wait until something is so, for ten seconds at most."""
    end = time.monotonic() + 10
    while not good():
        assert time.monotonic() < end
        time.sleep(0.01)
