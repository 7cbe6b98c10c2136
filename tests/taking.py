"""A Hub on this machine that takes files as the Hugging Face Hub does, or refuses them as it does."""

import base64
import hashlib
import json

from misbehaving import Handler, Server

MINE, GOOD = "me", "Bearer good"  # whose repositories may be written to, with which token


class Hub(Server):
    """A server of repositories that can be written to.

    Attributes:
        commits: repository -> its commits, each the 40 digits of its name.
        blobs: SHA-256 -> bytes that were uploaded, in a commit or not.
        fails: what is asked for -> a status, "cut" for no answer, or "late" for an answer that is lost.
        calls: what was asked for, in order.
    """

    def __init__(self):
        super().__init__(Taking)
        self.commits, self.blobs, self.fails, self.calls = {}, {}, {}, []

    def holds(self, name, **files):
        """Let a repository be there."""
        self.repositories[name] = {file.replace("__", "."): content for file, content in files.items()}
        self.commits[name] = [hashlib.sha1(name.encode()).hexdigest()]


class Taking(Handler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        name = path.removeprefix("/api/models/").partition("/revision/")[0]
        if path.startswith("/api/models/") and "/tree/" not in path:
            return self._called("look") or self._facts(name)
        if "/resolve/" in path:
            repository, _, rest = path[1:].partition("/resolve/")
            revision, _, file = rest.partition("/")
            if revision in self.server.commits.get(repository, ()):
                self.path = f"/{repository}/resolve/main/{file}"
        return super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        parts = path.strip("/").split("/")
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._called("create") or self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._called("batch") or self._batch(json.loads(body))
        if path.startswith("/api/models/") and parts[4] in ("preupload", "commit"):
            name = f"{parts[2]}/{parts[3]}"
            refused = self._called(parts[4]) or self._refused(name)
            return refused or getattr(self, f"_{parts[4]}")(name, body)
        return self._send(404, b"", "text/plain")

    def do_PUT(self):
        size = int(self.headers.get("Content-Length", 0))
        if self._called("put"):
            return None
        content = self.rfile.read(size) if size else self._chunks()
        self.server.blobs[self.path.rpartition("/")[2]] = content
        return self._send(200, b"", "text/plain")

    def _chunks(self):
        out = b""
        while length := int(self.rfile.readline().strip() or b"0", 16):
            out += self.rfile.read(length)
            self.rfile.readline()
        return out

    def _called(self, what):
        """Note what is asked for; return whether it went wrong, as a test wants it."""
        self.server.calls.append(what)
        wrong = self.server.fails.get(what)
        if wrong is None or wrong == "late":
            return False
        if wrong == "cut":
            self.close_connection = True
        else:
            self._send(wrong, b"{}", "application/json")
        return True

    def _refused(self, name):
        if self.headers.get("Authorization") != GOOD:
            self._send(
                401, b"{}", "application/json", {"X-Error-Message": "Invalid credentials in Authorization header"}
            )
        elif not name.startswith(f"{MINE}/"):
            self._send(403, b"{}", "application/json")
        else:
            return False
        return True

    def _facts(self, name):
        files = self.server.repositories.get(name)
        if files is None:
            return self._send(401, b"", "text/plain", {"X-Error-Code": "RepoNotFound"})
        siblings = [
            {
                "rfilename": file,
                "size": len(content),
                "blobId": "0" * 40,
                **(
                    {}
                    if file == "README.md"
                    else {"lfs": {"size": len(content), "sha256": _digest(content), "pointerSize": 1}}
                ),
            }
            for file, content in files.items()
        ]
        return self._json({"id": name, "sha": self.server.commits[name][-1], "siblings": siblings, "private": False})

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        if self._refused(name):
            return None
        self.server.holds(name)
        self.server.made = asked
        return self._json({"url": f"{self.server.address}/{name}"})

    def _preupload(self, name, body):
        files = json.loads(body)["files"]
        answer = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": self._oid(name, file["path"]),
            }
            for file in files
        ]
        return self._json({"files": answer})

    def _oid(self, name, file):
        content = self.server.repositories[name].get(file)
        if content is None:
            return None
        plain = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return _digest(content) if file.endswith(".safetensors") else plain

    def _batch(self, asked):
        objects = [
            {
                **{key: one[key] for key in ("oid", "size")},
                "actions": {"upload": {"href": f"{self.server.address}/put/{one['oid']}"}},
            }
            for one in asked["objects"]
        ]
        return self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name, body):
        lines = [json.loads(line) for line in body.splitlines()]
        head = next(line["value"] for line in lines if line["key"] == "header")
        if head.get("parentCommit") not in (None, self.server.commits[name][-1]):
            return self._send(412, b"{}", "application/json")
        new = {}
        for line in lines:
            if line["key"] == "lfsFile":
                new[line["value"]["path"]] = self.server.blobs[line["value"]["oid"]]
            elif line["key"] == "file":
                new[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.server.repositories[name] |= new
        commit = hashlib.sha1(body).hexdigest()
        self.server.commits[name].append(commit)
        if self.server.fails.get("commit") == "late":
            self.close_connection = True
            return None
        return self._json({"commitUrl": f"{self.server.address}/{name}/commit/{commit}", "commitOid": commit})

    def _json(self, content):
        self._send(200, json.dumps(content).encode(), "application/json")


def _digest(content):
    return hashlib.sha256(content).hexdigest()
