"""Who gets what: sessions, tokens, names, sizes, other pages. No network runs here."""

import json
import re
import shutil

import pytest
from fastapi.testclient import TestClient
from page import MODEL
from starlette.websockets import WebSocketDisconnect

from ovvis.door.guard import Guard, checked_token
from ovvis.errors import InputError
from ovvis.models.zoo import ZOO
from ovvis.web import exporting, receiving
from ovvis.web.app import make_app
from ovvis.web.asking import Served
from ovvis.web.choices import check_cameras
from ovvis.web.exporting import Wanted
from ovvis.web.gate import Gate
from ovvis.web.jobs import Jobs
from ovvis.web.limits import Limits
from ovvis.web.sessions import Sessions

HERE = "http://127.0.0.1:8000"
CAMERA = "ws://127.0.0.1:8000/api/camera"
WISH = {"name": "dog.mp4", "size": 3, "words": "dog", "model": MODEL}


class NoWorker:
    """Takes no job, so that the tests say how each is."""

    def __init__(self, jobs):
        self.jobs = jobs

    def cancel(self, job):
        self.jobs.end(job, "cancelled")

    def attach(self, job, camera):
        pass


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path, Limits(upload=1000, silence=5))


@pytest.fixture
def visit(jobs):
    """Return what makes a visitor: a client with cookies of its own."""

    def visitor(base=HERE, *, token=None, host="127.0.0.1", names=(), open_page=True, cameras=()):
        sessions = visitor.sessions = visitor.sessions or Sessions(8000)
        app = make_app(Served(jobs, NoWorker(jobs), [ZOO[MODEL]], cameras))
        app = Gate(app, Guard(host, token, names), sessions)
        client = TestClient(app, base_url=base, follow_redirects=False)
        if open_page:
            assert client.get("/", params={} if token is None else {"token": token}).status_code in (200, 303)
        return client

    visitor.sessions = None
    return visitor


def add(client, **changes):
    return client.post("/api/jobs", json={**WISH, **changes})


def uploaded(client, content=b"abc", **changes):
    job = add(client, **changes).json()
    return job["id"], client.put(f"/api/jobs/{job['id']}/video", content=content)


def finished(client, jobs):
    """Return a job of a visitor that is done."""
    id, answer = uploaded(client)
    assert answer.json()["state"] == "waiting"
    job = jobs.take()
    Wanted("painted").place(job).write_bytes(b"painted")
    (job.folder / "tracks.json").write_text("{}")
    jobs.end(job, "done")
    return id


def test_the_page_and_what_it_tells_browsers(visit):
    client = visit(open_page=False)
    page = client.get("/")
    assert page.status_code == 200 and "<title>ovvis</title>" in page.text
    cookie = page.headers["set-cookie"]
    assert re.fullmatch(r"ovvis-session-8000=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in client.get("/").headers  # it is known by now
    for name in ("common.js", "words.js", "page.js", "result.js", "camera.js", "page.css"):
        text = client.get(f"/static/{name}").text
        assert len(text) > 1000 and "http://" not in text and "https://" not in text  # nothing from elsewhere
    assert not re.search(r"""(src|href)="(?!/static/|#|data:)""", page.text)
    assert " style=" not in page.text and " on" not in re.sub(r">[^<]*<", "><", page.text).replace(" one", "")


@pytest.mark.parametrize(
    "path",
    ["/static/index.html", "/static/../app.py", "/static/%2e%2e%2fapp.py", "/docs", "/openapi.json", "/etc/passwd"],
)
def test_no_other_files_are_given_out(path, visit):
    answer = visit().get(path)
    assert answer.status_code in (404, 405) and "import" not in answer.text


def test_without_a_session_nothing_is_told(visit):
    client = visit(open_page=False)
    for method, path in (
        ("GET", "/api/jobs"),
        ("GET", "/api/choices"),
        ("POST", "/api/jobs"),
        ("DELETE", "/api/jobs/x"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 401 and "load it again" in answer.json()["error"]
    client.cookies.set("ovvis-session-8000", "a" * 43)  # one that was never given away
    assert client.get("/api/jobs").status_code == 401


def test_a_person_sees_only_their_own(visit, jobs):
    ann, bob = visit(), visit()
    id = finished(ann, jobs)
    assert [job["id"] for job in ann.get("/api/jobs").json()] == [id] and bob.get("/api/jobs").json() == []
    paths = [
        "",
        "/exports",
        "/exports/painted",
        "/view",
        "/view/pieces/0",
        "/view/media",
        "/tracks",
        "/preview.jpg",
        "/exports/csv",
    ]
    for path in paths:
        answer = bob.get(f"/api/jobs/{id}{path}")
        assert answer.status_code == 404 and "no such job of yours" in answer.json()["error"], path
    assert bob.delete(f"/api/jobs/{id}").status_code == 404
    assert bob.put(f"/api/jobs/{id}/video", content=b"other").status_code == 404
    assert bob.post(f"/api/jobs/{id}/exports", json={"format": "csv"}).status_code == 404
    assert ann.get(f"/api/jobs/{id}/exports/painted").content == b"painted"
    assert ann.delete(f"/api/jobs/{id}").json() == {"removed": True}
    assert ann.get(f"/api/jobs/{id}/exports/painted").status_code == 404
    assert list(jobs.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("base", "allowed"),
    [
        (HERE, True),
        ("http://localhost:9999", True),  # as through a tunnel
        ("http://[::1]:8000", True),
        ("http://evil.example:8000", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://10.0.0.5:8000", False),
    ],
)
def test_names_that_were_made_to_lead_here(base, allowed, visit):
    answer = visit(base, open_page=False).get("/")
    assert answer.status_code == (200 if allowed else 421)
    assert ("set-cookie" in answer.headers) == allowed


def test_names_of_an_open_server(visit):
    token = "a-token-of-some-length"
    for base, code in (("http://10.0.0.5:8000", 303), ("http://page.example", 303), ("http://evil.example", 421)):
        client = visit(base, token=token, host="0.0.0.0", names=["page.example"], open_page=False)
        assert client.get("/", params={"token": token}).status_code == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 201),  # a program, not a page
        ({"Origin": HERE}, 201),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_pages_change_nothing(headers, code, visit, jobs):
    client = visit()
    assert client.post("/api/jobs", json=WISH, headers=headers).status_code == code
    assert len(client.get("/api/jobs").json()) == (code == 201)


def test_other_pages_open_no_socket(visit):
    client = visit()
    for place, headers in ((CAMERA, {"Origin": "http://evil.example"}), ("ws://evil.example/api/camera", {})):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(place, headers=headers):
            pass
    with pytest.raises(WebSocketDisconnect), visit(open_page=False).websocket_connect(CAMERA):
        pass
    with client.websocket_connect(CAMERA, headers={"Origin": HERE}) as socket:
        socket.send_text(json.dumps({"words": "@/etc/passwd", "model": MODEL}))
        assert "a file of the server cannot be named" in socket.receive_json()["why"]


def test_a_camera_waits_in_the_queue_and_leaves_it(visit, jobs):
    client = visit()
    uploaded(client)
    with client.websocket_connect(CAMERA) as socket:
        socket.send_text(json.dumps({"words": "dog", "model": MODEL}))
        assert socket.receive_json() == {"state": "waiting", "ahead": 1}
        assert [job["name"] for job in client.get("/api/jobs").json()] == ["dog.mp4"]  # it is no video
    assert len(list(jobs.folder.iterdir())) == 1


def test_token(visit):
    token = "a-token-of-some-length"
    client = visit(token=token, open_page=False)
    for wrong in ({}, {"token": ""}, {"token": token[:-1]}, {"token": "ü"}):
        answer = client.get("/", params=wrong)
        assert answer.status_code == 403 and "wants a token" in answer.text and "set-cookie" not in answer.headers
    assert client.get("/api/jobs").status_code == 401
    answer = client.get("/", params={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")  # the address forgets it
    assert client.get("/").status_code == 200 and client.get("/api/jobs").json() == []


@pytest.mark.parametrize(
    ("token", "host", "expected"),
    [
        (None, "127.0.0.1", None),
        (None, "localhost", None),
        (None, "::1", None),
        (None, "0.0.0.0", "[A-Za-z0-9_-]{32}"),
        (None, "192.168.1.5", "[A-Za-z0-9_-]{32}"),
        ("0123456789abcdef", "127.0.0.1", "0123456789abcdef"),
    ],
)
def test_who_needs_a_token(token, host, expected):
    found = checked_token(token, host)
    assert found is None if expected is None else re.fullmatch(expected, found)


@pytest.mark.parametrize("token", ["", "short", "has a blank in it all", "x" * 15, "umlaut-ümlaut-umlaut"])
def test_tokens_that_are_refused(token):
    with pytest.raises(InputError, match="at least 16"):
        checked_token(token, "127.0.0.1")


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"size": 1001}, 413, "more than the 1000 bytes"),
        ({"size": 0}, 400, "is empty"),
        ({"size": -1}, 422, "size"),
        ({"words": ""}, 400, "say what to look for"),
        ({"words": "@/etc/passwd"}, 400, "a file of the server cannot be named"),
        ({"words": "/etc/passwd.txt"}, 400, "looks like a file"),
        ({"words": "dog, Dog"}, 400, "stands 2 times"),
        ({"model": "clip-vis-r50"}, 400, "not offered"),
        ({"model": "../../etc/passwd"}, 400, "not offered"),
        ({"every": 0}, 422, "every"),
        ({"name": "x" * 2000}, 422, "name"),
        ({"words": "x" * 2**20}, 413, "larger than it may be"),
    ],
)
def test_what_is_refused_before_the_video_comes(changes, code, said, visit, jobs):
    client = visit()
    answer = add(client, **changes)
    assert answer.status_code == code and said in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert client.get("/api/jobs").json() == [] and list(jobs.folder.iterdir()) == []


def chunks(count):
    yield from [b"x" * 100] * count


@pytest.mark.parametrize("content", [b"x" * 1001, chunks(11)], ids=["stated", "in chunks"])
def test_an_upload_that_is_too_large(content, visit, jobs):
    client = visit()
    id, answer = uploaded(client, content)
    assert answer.status_code == 413 and "this page takes" in answer.json()["error"]
    job = client.get(f"/api/jobs/{id}").json()
    assert job["state"] == "failed" and "this page takes" in job["error"]
    assert list(jobs.folder.iterdir()) == [] and not jobs.anyone_waiting


def test_an_upload_comes_once(visit, jobs):
    client = visit()
    id, _ = uploaded(client)
    assert client.put(f"/api/jobs/{id}/video", content=b"other").status_code == 409
    assert jobs.take().upload.read_bytes() == b"abc"
    id, answer = uploaded(client, b"")
    assert answer.status_code == 400 and client.get(f"/api/jobs/{id}").json()["state"] == "failed"


@pytest.mark.parametrize(
    "name", ["../../evil.mp4", "/etc/passwd", "C:\\x\\evil.mp4", "<img src=x>.mp4", "\u202egod.mp4", ""]
)
def test_names_are_no_paths(name, visit, jobs):
    client = visit()
    uploaded(client, name=name)
    job = jobs.take()
    assert re.fullmatch(r"upload-[\w-]{8}", job.upload.name) and job.upload.parent.parent == jobs.folder
    shown = client.get(f"/api/jobs/{job.id}").json()["name"]
    assert shown and "/" not in shown.removeprefix("<img src=x>") and "\u202e" not in shown
    Wanted("painted").place(job).write_bytes(b"painted")
    jobs.end(job, "done")
    kept = client.get(f"/api/jobs/{job.id}/exports/painted").headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[\w.-]+-painted\.mp4"', kept)


@pytest.mark.parametrize("format", ["../tracks", "nothing", "%2e%2e%2ftracks", "csv/../../x"])
def test_exports_are_of_the_list(format, visit, jobs):
    client = visit()
    id = finished(client, jobs)
    assert client.post(f"/api/jobs/{id}/exports", json={"format": format}).status_code == 400
    assert client.get(f"/api/jobs/{id}/exports/{format}").status_code == 404


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"min_score": 1.5}, "min_score 1.5: it must lie in [0, 1]"),
        ({"min_score": -1}, "min_score -1: it must lie in [0, 1]"),
        ({"opacity": 2}, "opacity 2.0 must lie in [0, 1]"),
        ({"format": "painting"}, "choose one of the list"),
    ],
)
def test_what_is_painted_is_checked(wish, said, visit, jobs):
    client = visit()
    id = finished(client, jobs)
    answer = client.post(f"/api/jobs/{id}/exports", json={"format": "painted", **wish})
    assert answer.status_code == 400 and said in answer.json()["error"]
    query = {name: value for name, value in wish.items() if name != "format"}
    if query:
        assert client.get(f"/api/jobs/{id}/exports/painted", params=query).status_code == 404


def test_exports_of_a_result_do_not_fill_the_disk(visit, jobs, monkeypatch):
    """Each score makes another file: the oldest go."""
    client = visit()
    id = finished(client, jobs)
    monkeypatch.setattr(exporting, "_in_a_process", lambda job, wanted, target: target.write_bytes(b"made"))
    for hundredth in range(20):
        wish = {"format": "csv", "min_score": hundredth / 100}
        made = client.post(f"/api/jobs/{id}/exports", json=wish).json()
        assert client.get(made["url"]).content == b"made"
    assert len(list((jobs.folder / id).glob("export-*"))) == exporting.KEPT


def test_one_export_of_a_result_at_a_time(visit, jobs):
    client = visit()
    id = finished(client, jobs)
    with next(job for job in jobs._jobs.values()).exporting:
        answer = client.post(f"/api/jobs/{id}/exports", json={"format": "csv"})
    assert answer.status_code == 429 and "wait for it" in answer.json()["error"]


def test_cameras_of_the_server_are_those_that_it_offers(visit, jobs):
    cameras = ["camera:0?size=640x480", "rtsp://admin:1234@10.0.0.7/ch1"]
    client = visit(cameras=cameras)
    assert client.get("/api/choices").json()["cameras"] == ["camera:0", "rtsp://10.0.0.7/ch1"]  # no password
    for wish, said in (({"camera": 2}, "not offered"), ({"camera": -1}, "camera"), ({"camera": "camera:1"}, "camera")):
        with client.websocket_connect(CAMERA) as socket:
            socket.send_text(json.dumps({"words": "dog", "model": MODEL, **wish}))
            assert said in socket.receive_json()["why"]
    with client.websocket_connect(CAMERA) as socket:
        socket.send_text(json.dumps({"words": "dog", "model": MODEL, "camera": 1}))
        assert socket.receive_json() == {"state": "waiting", "ahead": 0}
        assert jobs.take().request.camera == cameras[1]


@pytest.mark.parametrize("camera", ["dog.mp4", "/etc/passwd", "file:///etc/passwd", "-", "gopher://x/"])
def test_what_is_no_camera_is_not_offered(camera):
    with pytest.raises(InputError, match="address"):
        check_cameras([camera])


def test_a_full_disk_is_told(visit, jobs, monkeypatch):
    client = visit()
    usage = shutil.disk_usage(jobs.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**29))
    answer = add(client)
    assert answer.status_code == 507 and answer.json()["error"].endswith("has no room for 3 bytes: try again later")
    monkeypatch.undo()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    id = add(client).json()["id"]
    monkeypatch.setattr(receiving, "run_in_threadpool", full)
    answer = client.put(f"/api/jobs/{id}/video", content=b"abc")
    assert (answer.status_code, answer.json()["error"]) == (507, "the server's disk is full: try again later")
    assert client.get(f"/api/jobs/{id}").json()["state"] == "failed" and list(jobs.folder.iterdir()) == []


def test_results_in_parts(visit, jobs):
    """A player asks for parts of a video."""
    client = visit()
    id = finished(client, jobs)
    answer = client.get(f"/api/jobs/{id}/exports/painted", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"int")


def test_cancelling_before_anything_runs(visit, jobs):
    client = visit()
    id, _ = uploaded(client)
    assert client.delete(f"/api/jobs/{id}").json()["state"] == "cancelled"
    assert list(jobs.folder.iterdir()) == []
    assert client.get(f"/api/jobs/{id}/exports/painted").status_code == 409
