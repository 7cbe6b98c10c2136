"""The server's side of the process that has the model: it takes jobs in order, and is started anew when it dies."""

from __future__ import annotations

import multiprocessing
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ovvis.errors import ResourceError
from ovvis.web import work
from ovvis.web.jobs import Job, Jobs
from ovvis.web.limits import time_in_words
from ovvis.web.unforeseen import told_unforeseen

PROMPT = 5.0  # seconds that a cancelled task gets to end by itself
_GLANCE = 0.05  # seconds between two looks at what else there is to do


class Camera:
    """What goes between a browser's camera and the process."""

    def __init__(self, on_painted: Callable[[bytes, dict[str, Any]], None], on_refused: Callable[[str], None]) -> None:
        self.inbox: queue.Queue[bytes | str] = queue.Queue(maxsize=4)  # frames, and words to look for from then on
        self.on_painted, self.on_refused = on_painted, on_refused


class Worker:
    """Runs jobs in a process of their own, one after another.

    Args:
        jobs: where they come from.
        device: for the models, as `load_model` takes it.
        precision: likewise.
        prepare: sets the process up; a function of a module.
        files: of models that visitors call by another name than `load_model` does, what it is given.

    Raises:
        ResourceError: the system gives no locks between processes.
    """

    def __init__(
        self,
        jobs: Jobs,
        device: str = "auto",
        precision: str = "auto",
        prepare: Callable[[], object] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self._jobs, self._settings = jobs, (device, precision, prepare)
        self._files = files or {}
        self._context = multiprocessing.get_context("spawn")
        try:
            self._cancelled: Any = self._context.Event()
        except OSError as error:
            raise ResourceError(
                f"the page has no process to work in: this system gives no locks ({error.strerror}); "
                "/dev/shm must be writable (in Docker: --tmpfs /dev/shm)"
            ) from error
        self._process: Any = None
        self._line: Any = None
        self._current: Job | None = None
        self._stop_at: float | None = None  # when a cancelled task is ended by force
        self._cameras: dict[str, Camera] = {}
        self._lock = threading.Lock()
        self._processes = threading.RLock()  # held while one begins or ends
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="ovvis-web-worker", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def close(self) -> None:
        """End the process and whatever it does."""
        self._jobs.close()
        with self._processes:
            self._closed = True
            self._end_process()

    def attach(self, job: Job, camera: Camera) -> None:
        """Give a camera's job what brings its frames."""
        self._cameras[job.id] = camera

    def cancel(self, job: Job) -> None:
        """End a job that has not ended: at once where it waits, within some seconds where it runs."""
        with self._lock:
            if self._current is job:
                self._cancelled.set()
                self._stop_at = self._stop_at or time.monotonic() + PROMPT
        self._jobs.end(job, "cancelled")

    def _work(self) -> None:
        self._ensure_process()  # it takes seconds to begin: before the first job is there
        while (job := self._jobs.take()) is not None:
            with self._lock:
                if job.over:
                    continue
                self._cancelled.clear()
                self._current, self._stop_at = job, None
            try:
                self._run(job)
            except Exception as error:  # the next job has a right to be done
                self._end_process()
                self._jobs.end(job, "failed", told_unforeseen(error))
            finally:
                with self._lock:
                    self._current = None
                self._cameras.pop(job.id, None)
                if job.state != "done":  # what the process wrote after its job was cancelled
                    shutil.rmtree(job.folder, ignore_errors=True)

    def _run(self, job: Job) -> None:
        asked, camera = job.request, self._cameras.get(job.id)
        video = None if job.camera else job.upload
        task = work.Task(
            asked.name,
            asked.words,
            self._files.get(asked.model, asked.model),
            asked.every,
            video,
            asked.camera,
            job.folder,
            self._jobs.limits.seconds,
        )
        if not self._send("task", task):
            self._send("task", task)  # it had died since the last one
        ends: float | None = None
        while True:
            if self._stop_at is not None and time.monotonic() > self._stop_at:
                self._end_process()
                return
            if camera is not None:
                ends = self._feed(job, camera, ends)
            try:
                if self._closed:
                    return
                if not self._line.poll(_GLANCE if camera is None else 0.005):
                    continue
                what, *rest = self._line.recv()
            except (EOFError, OSError):
                self._died(job)
                return
            if what == "done":
                job.outcome = rest[0]
                self._jobs.end(job, "done" if not job.camera else "cancelled", job.error)
                return
            if what == "failed":
                self._jobs.end(job, "failed" if rest[0] else "cancelled", rest[0])
                return
            self._heard(job, camera, what, rest)

    def _feed(self, job: Job, camera: Camera, ends: float | None) -> float | None:
        """Hand on a frame or words from the browser; return when the session is to end for those who wait."""
        if not self._jobs.anyone_waiting:
            ends = None
        elif job.stage == "camera":
            ends = ends or time.monotonic() + self._jobs.limits.camera
        if ends is not None and time.monotonic() > ends and job.error is None:
            job.error = f"others wait for the model, and a camera has it for {time_in_words(self._jobs.limits.camera)}"
            self._send("enough")
        with suppress(queue.Empty):
            what = camera.inbox.get_nowait()
            self._send("words" if isinstance(what, str) else "frame", what)
        return ends

    def _heard(self, job: Job, camera: Camera | None, what: str, rest: list[Any]) -> None:
        if what == "stage":
            job.begin(*rest)
        elif what == "step":
            job.progress.done, job.progress.total = rest[0], rest[1] or job.progress.total
        elif what == "preview":
            job.preview, job.preview_frame = rest
        elif what == "painted" and camera is not None:
            camera.on_painted(*rest)
        elif what == "refused" and camera is not None:
            camera.on_refused(*rest)

    def _died(self, job: Job) -> None:
        if (process := self._process) is None:  # the server has ended it, and ends itself
            return
        process.join(PROMPT)
        code = process.exitcode
        how = "" if code is None else f" (signal {-code})" if code < 0 else f" (code {code})"
        self._end_process()
        self._jobs.end(
            job,
            "failed",
            f"the process that reads the video and runs the model ended{how}: the file may be damaged, or need more "
            "memory than there is; try another file, or a smaller one",
        )

    def _send(self, *what: Any) -> bool:
        self._ensure_process()
        if self._closed:
            return False
        try:
            self._line.send(what)
        except OSError:
            return False
        return True

    def _ensure_process(self) -> None:
        with self._processes:
            if self._closed or (self._process is not None and self._process.is_alive()):
                return
            self._end_process()
            self._line, far = self._context.Pipe()
            self._process = self._context.Process(
                target=work.run,
                args=(far, self._cancelled, *self._settings),
                name="ovvis-web-model",
                daemon=True,
            )
            self._process.start()
            far.close()

    def _end_process(self) -> None:
        with self._processes:
            process, self._process = self._process, None
            if process is None:
                return
            process.terminate()
            process.join(PROMPT)
            if process.is_alive():
                process.kill()
                process.join()
            self._line.close()
