"""Jobs: who asked for what, whose turn it is, and how long a result stays."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock
from typing import Any, Literal

from ovvis.errors import InputError
from ovvis.web.limits import Limits

State = Literal["uploading", "waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


class Busy(InputError):  # noqa: N818  it is no fault of the input's
    """There is no room for another job now."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for."""

    name: str  # of the video, as the person's machine calls it; shown, and never a path
    words: str  # as typed, or a built-in list's name; empty: the model's own
    model: str  # of the zoo
    every: int = 1  # each n-th frame
    camera: str | None = None  # a source of the server's that is watched


@dataclass(slots=True)
class Progress:
    """How far something is, in units of its own: bytes, words or frames."""

    done: int = 0
    total: int | None = None
    began: float = field(default_factory=time.monotonic)

    def remaining(self) -> float | None:
        """Return the seconds that it will still take, by its rate so far; None where nothing says."""
        spent = time.monotonic() - self.began
        if not self.total or not self.done or spent < 0.2:
            return None
        return spent / self.done * max(self.total - self.done, 0)


@dataclass(slots=True)
class Job:
    """One request, from its upload to its removal."""

    id: str
    owner: str  # a session
    request: Request
    folder: Path  # its own; nothing else lies there
    camera: bool = False
    state: State = "uploading"
    born: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.monotonic)  # when an upload brought bytes, or a state changed
    ended: float | None = None  # time.monotonic
    stage: str = ""  # what is being done: "fetching", "loading", "words", "frames", "viewer", "camera"
    progress: Progress = field(default_factory=Progress)  # of the upload, or the stage
    preview: bytes | None = None  # JPEG of the newest painted frame
    preview_frame: int | None = None  # its number in the source
    error: str | None = None
    outcome: dict[str, Any] = field(default_factory=dict)  # of a result: counts, notes, problem
    exporting: Lock = field(default_factory=Lock)  # one export of a job is made at a time
    taking: Progress | None = None  # of the export that is being made

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED

    @property
    def upload(self) -> Path:
        """Where the video lies, under a name that tells nothing."""
        return self.folder / f"upload-{self.id[:8]}"

    def begin(self, stage: str, total: int | None = None) -> None:
        """Note that a stage begins."""
        self.stage, self.progress = stage, Progress(total=total)


class Jobs:
    """All jobs, and the order in which they are done. Threads may share it.

    Args:
        folder: where each job gets a folder.
        limits: what is allowed.
        clock: seconds that only go on.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.limits, self._clock = folder, limits, clock
        self._jobs: dict[str, Job] = {}
        self._queue: list[Job] = []  # waiting, in order
        self._closed = False
        self.changed = Condition()

    def add(self, owner: str, request: Request, *, camera: bool = False) -> Job:
        """Return a new job, which is not in the queue yet.

        Raises:
            Busy: too many jobs are under way, or kept.
        """
        with self.changed:
            self._check_room(owner)
            id = secrets.token_urlsafe(16)
            folder = self.folder / id
            folder.mkdir(mode=0o700)
            job = Job(id, owner, request, folder, camera, touched=self._clock())
            self._jobs[id] = job
            return job

    def _check_room(self, owner: str) -> None:
        limits = self.limits
        own = [job for job in self._jobs.values() if job.owner == owner]
        open_ = sum(not job.over for job in own)
        if open_ >= limits.own_waiting:
            raise Busy(f"{open_} of your jobs have not ended: wait for one, or cancel one, before you add another")
        if sum(job.state == "done" for job in own) >= limits.own_kept:
            raise Busy(f"{limits.own_kept} of your results are kept: remove one before you add another")
        if sum(not job.over for job in self._jobs.values()) >= limits.waiting:
            raise Busy(f"{limits.waiting} jobs are waiting or running: try again when some have ended")

    def line_up(self, job: Job) -> None:
        """Put a job whose upload is whole, or whose camera is there, at the end of the queue."""
        with self.changed:
            if job.state == "uploading":
                job.state, job.touched = "waiting", self._clock()
                self._queue.append(job)
                self.changed.notify_all()

    def find(self, id: str, owner: str) -> Job | None:
        """Return a person's own job; None for all others'."""
        with self.changed:
            job = self._jobs.get(id)
            return job if job is not None and secrets.compare_digest(job.owner.encode(), owner.encode()) else None

    def of(self, owner: str) -> list[Job]:
        """Return a person's jobs, the newest first."""
        with self.changed:
            return sorted((job for job in self._jobs.values() if job.owner == owner), key=lambda job: -job.born)

    def place(self, job: Job) -> int | None:
        """Return how many jobs are before a waiting one, the running one included; None for others."""
        with self.changed:
            if job not in self._queue:
                return None
            return self._queue.index(job) + sum(other.state == "running" for other in self._jobs.values())

    @property
    def anyone_waiting(self) -> bool:
        """Whether a job waits."""
        return bool(self._queue)

    def take(self) -> Job | None:
        """Wait for the next job and return it, running; None when there will be none."""
        with self.changed:
            while not self._queue and not self._closed:
                self.changed.wait()
            if self._closed:
                return None
            job = self._queue.pop(0)
            job.state, job.touched = "running", self._clock()
            job.begin("")
            return job

    def end(self, job: Job, state: State, error: str | None = None) -> None:
        """Note how a job ended; only a result's files stay."""
        with self.changed:
            if job.over:
                return
            if job in self._queue:
                self._queue.remove(job)
            job.state, job.error, job.ended = state, error, self._clock()
            job.preview = None if state != "done" else job.preview
            if state != "done":
                shutil.rmtree(job.folder, ignore_errors=True)
            self.changed.notify_all()

    def remove(self, job: Job) -> None:
        """Forget a job that has ended, and its files."""
        with self.changed:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self) -> list[Job]:
        """Remove what was kept for its time, and uploads that fell silent; return them."""
        now, limits = self._clock(), self.limits
        with self.changed:
            old = [job for job in self._jobs.values() if job.ended is not None and now - job.ended >= limits.keep]
            # The upload itself gives up after half of this; here go those that never began.
            silent = [
                job
                for job in self._jobs.values()
                if job.state == "uploading" and now - job.touched >= 2 * limits.silence
            ]
        for job in silent:
            self.end(job, "cancelled", "its upload did not come")
        for job in old:
            self.remove(job)
        return old + silent

    def kept_for(self, job: Job) -> float | None:
        """Return the seconds until a job that has ended is removed."""
        return None if job.ended is None else max(self.limits.keep - (self._clock() - job.ended), 0.0)

    def touch(self, job: Job) -> None:
        """Note that an upload goes on."""
        job.touched = self._clock()

    def close(self) -> None:
        """Let `take` return nothing from now on."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
