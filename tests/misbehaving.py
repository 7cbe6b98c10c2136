"""Servers on this machine that give files, or misbehave as servers on the way to weights do."""

import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGES = {
    "quota": "<html><head><title>Google Drive - Quota exceeded</title></head><body>Sorry, you can't view or download "
    "this file at this time. Too many users have viewed or downloaded this file recently.</body></html>",
    "login": '<!DOCTYPE html><html><a href="https://accounts.google.com/ServiceLogin">Sign in</a></html>',
    "consent": "<!doctype html><html><h1>Before you continue to Google</h1></html>",
    "portal": "<html>Welcome to the hotel. Room number?</html>",
}


class Server(ThreadingHTTPServer):
    """A server of files by path, each with what is wrong with it.

    Attributes:
        files: path -> bytes.
        wrong: path -> one or several of the words in `Handler.do_GET`.
        asked: (path, Range header or None) of each request for bytes.
        cookies: the Cookie headers that came.
        repositories: of the Hub: name -> {file: bytes}.
    """

    daemon_threads = True

    def __init__(self, handler=None):
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.files, self.wrong, self.repositories = {}, {}, {}
        self.asked, self.cookies, self.tokens = [], [], []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def ranges(self, path):
        """Return what was asked of a path: None for all of it, else the first byte."""
        return [None if span is None else int(span[6:-1]) for asked, span in self.asked if asked == path]

    def handle_error(self, request, client_address):
        pass  # clients that go away


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the connection's end is the answer's

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        path = unquote(self.path.partition("?")[0])
        if "Cookie" in self.headers:
            server.cookies.append(self.headers["Cookie"])
        if path.startswith("/api/models/"):
            return self._listing(path.removeprefix("/api/models/").partition("/tree/")[0])
        if "/resolve/" in path:
            return self._resolved(*path[1:].split("/resolve/"))
        if self.command == "GET":
            server.asked.append((path, self.headers.get("Range")))
        wrong = server.wrong.get(path, "")
        if wrong == "circle":
            return self._head(302, {"Location": f"{path}?{time.monotonic_ns()}"})
        if wrong.startswith("status "):
            _, code, *page = wrong.split()
            return self._send(int(code), PAGES.get(page[0] if page else "", "").encode(), "text/html")
        if wrong in PAGES:
            return self._send(200, PAGES[wrong].encode(), "text/html; charset=utf-8")
        if wrong == "virus" and "confirm=t" not in self.path:
            return self._send(200, _virus(server.address + path).encode(), "text/html; charset=utf-8")
        if path not in server.files:
            return self._send(404, b"nothing here", "text/plain")
        return self._file(server.files[path], wrong)

    def _file(self, content, wrong):
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Content-Type": "application/octet-stream"}
        span, start = self.headers.get("Range"), 0
        if "no-ranges" in wrong:
            span = None
        if "no-etag" in wrong:
            del headers["ETag"]
        elif span and self.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
            span = None
        if span and int(span.removeprefix("bytes=").rstrip("-")) >= len(content):
            return self._send(416, b"", "text/plain")
        if span:
            start = int(span.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        if "changed" in wrong:
            rest = rest[:-1] + bytes([rest[-1] ^ 1])
        headers["Content-Length"] = str(len(rest) - 100 if "short-length" in wrong else len(rest))
        if "silent" in wrong:
            time.sleep(1.0)
        self._head(206 if span else 200, headers)
        if self.command == "HEAD":
            return None
        if "cut" in wrong:  # once, in the middle; "cut-always": behind every hundredth part
            if "cut-always" not in wrong:
                self.server.wrong[self.path.partition("?")[0]] = wrong.replace("cut", "")
            rest = rest[: len(rest) // 2] if "cut-always" not in wrong else b""
        if "halting" in wrong:
            self.wfile.write(rest[: len(rest) // 2])
            time.sleep(20)  # nobody waits for it: whoever asked is killed meanwhile
        elif "slow" in wrong:
            for i in range(5):
                self.wfile.write(rest[i * len(rest) // 5 : (i + 1) * len(rest) // 5])
                time.sleep(0.05)
        else:
            self.wfile.write(rest)
        return None

    def _listing(self, name):
        files = self.server.repositories.get(name)
        if files is None:
            return self._send(401, b"", "text/plain", {"X-Error-Code": "RepoNotFound"})
        listed = [{"type": "file", "path": file, "size": len(files[file]), "oid": "0" * 40} for file in files]
        return self._send(200, json.dumps(listed).encode(), "application/json")

    def _resolved(self, name, rest):
        """Answer as the Hub does: facts in headers, and where the bytes lie."""
        self.server.tokens.append(self.headers.get("Authorization"))
        revision, _, file = rest.partition("/")
        files = self.server.repositories.get(name)
        if files is None:
            return self._send(401, b"", "text/plain", {"X-Error-Code": "RepoNotFound"})
        if files == "gated":
            return self._send(403, b"", "text/plain", {"X-Error-Code": "GatedRepo"})
        if revision not in ("main", COMMIT):
            return self._send(404, b"", "text/plain", {"X-Error-Code": "RevisionNotFound"})
        if file not in files:
            return self._send(404, b"", "text/plain", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = files[file]
        self.server.files[f"/bytes/{name}/{file}"] = content
        return self._head(
            302,
            {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
                "Location": f"http://localhost:{self.server.server_address[1]}/bytes/{name}/{file}",
            },
        )

    def _send(self, code, content, kind, headers=()):
        self._head(code, {"Content-Type": kind, "Content-Length": str(len(content)), **dict(headers)})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, code, headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args):
        pass


def _virus(address):
    """Return Google Drive's page before a file that it has not scanned."""
    return (
        "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
        f'<form id="download-form" action="{address}" method="get"><input type="hidden" name="id" value="1">'
        '<input type="hidden" name="confirm" value="t"></form></body></html>'
    )


@contextmanager
def serving(kind=Server):
    """Yield a server that runs in a thread."""
    server = kind()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
