"""Lines sent to a web address as they come; an address that is down holds nothing up."""

from __future__ import annotations

import threading
import time
from collections import deque

import requests

from ovvis.errors import InputError

WAITING = 1000
"""Most lines that wait for an address that is slow or down; the oldest give way."""

_TOGETHER = 100  # lines of a request at most
_TIMEOUT = 5.0  # seconds for an address to answer
_PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds between tries while it does not
_FAREWELL = 3.0  # seconds that the last lines get


class Webhook:
    """Posts lines of JSON to an address, some together if they come fast (`application/x-ndjson`).

    A thread sends them. Where the address does not answer, or answers with an error, they wait, the newest 1,000, and
    are sent when it is back; how many were lost is counted.

    Args:
        url: http or https.
        timeout: seconds for the address to answer.

    Attributes:
        sent: lines that arrived.
        lost: lines that gave way, or were refused.
        trouble: what the address did instead, or None while all is well.

    Raises:
        InputError: the address is none.
    """

    may_wait = False  # a thread does

    def __init__(self, url: str, timeout: float = _TIMEOUT) -> None:
        try:
            prepared = requests.Request("POST", url).prepare()
        except requests.RequestException as error:
            raise InputError(f"webhook {url}: it must be an address such as http://localhost:9000/seen") from error
        if not (prepared.url or "").lower().startswith(("http://", "https://")):
            raise InputError(f"webhook {url}: it must begin with http:// or https://")
        self.url, self.sent, self.lost = url, 0, 0
        self.trouble: str | None = None
        self._timeout = timeout
        self._queue: deque[bytes] = deque()
        self._turn = threading.Condition()
        self._closed_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="ovvis-webhook", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Have a line on its way; never waits, never fails."""
        with self._turn:
            if len(self._queue) >= WAITING:
                self._queue.popleft()
                self.lost += 1
            self._queue.append(line)
            self._turn.notify_all()

    def close(self) -> None:
        """Send what waits, for a few seconds at most; the rest counts as lost."""
        with self._turn:
            self._closed_at = time.monotonic()
            self._turn.notify_all()
        self._thread.join(_FAREWELL + self._timeout)
        with self._turn:
            self.lost += len(self._queue)
            self._queue.clear()

    def _run(self) -> None:
        tries = 0
        with requests.Session() as session:
            while batch := self._next():
                good, trouble = self._post(session, b"".join(batch))
                if not good and self._over():
                    return self._back(batch)
                tries = 0 if good else tries + 1
                self.trouble = trouble
                if good:
                    with self._turn:
                        arrived = trouble is None
                        self.sent, self.lost = self.sent + len(batch) * arrived, self.lost + len(batch) * (not arrived)
                else:
                    self._back(batch)
                    with self._turn:
                        self._turn.wait_for(lambda: self._closed_at is not None, _PAUSES[min(tries, len(_PAUSES)) - 1])
        return None

    def _post(self, session: requests.Session, body: bytes) -> tuple[bool, str | None]:
        """Return whether these lines are done with, and what went wrong: a refusal does not get better by repeating."""
        try:
            answer = session.post(
                self.url, data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=self._timeout
            )
        except requests.RequestException as error:
            return False, f"does not answer ({type(error).__name__})"
        if answer.ok:
            return True, None
        refused = 400 <= answer.status_code < 500 and answer.status_code not in (408, 429)
        return refused, f"answers {answer.status_code} {answer.reason}"

    def _next(self) -> list[bytes]:
        """Return the next lines, once there are some; none at the end."""
        with self._turn:
            self._turn.wait_for(lambda: bool(self._queue) or self._closed_at is not None)
            return [self._queue.popleft() for _ in range(min(_TOGETHER, len(self._queue)))]

    def _back(self, batch: list[bytes]) -> None:
        """Put lines back in front; what is too much is lost."""
        with self._turn:
            room = max(WAITING - len(self._queue), 0)
            self._queue.extendleft(reversed(batch[max(len(batch) - room, 0) :]))
            self.lost += max(len(batch) - room, 0)

    def _over(self) -> bool:
        return self._closed_at is not None and time.monotonic() - self._closed_at > _FAREWELL
