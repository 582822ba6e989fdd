"""A simulated Databox behind real sockets, with the bad habits of servers and networks, in scaled-down time.

What becomes of a request is decided by the model that the simulation plays with, and by nothing of the
project's own emulator, so that client and server don't share its view of the API. A second of a plan takes
the fiftieth part of a second here; the server's clock runs so much faster than the client's.
"""

from __future__ import annotations

import contextlib
import email.utils
import random
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from target_databox.api.errors import KeyRefusedError, ThrottledError
from target_databox.api.transport import Reply
from tests.real_connection import LOOK_SECONDS, Talk
from tests.simulated_databox import EPOCH
from tests.simulated_v1 import FaceOfV1
from tests.simulated_v2 import GARBLED, SUCCESS, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.api.errors import DataboxError
    from tests.real_catalogue import Catalogue
    from tests.real_connection import Asked
    from tests.simulated_databox import SimulatedDatabox

SCALE = 50.0
DELIVERY = re.compile(r"/v[12]/datasets/[^/]+/(?P<what>data|purge|ingestions)(?P<one>/.+)?")
# How connections end and answers are cut, one habit a server.
HABITS = ("kept", "kept", "closes", "drops", "pieces", "chunks")
UNREADABLE = (b"", b"<html>Try again later.</html>", b'{"status": "error", "errors": null}', b"null")


class RealDatabox:
    """A server on loopback.

    Args:
        model: Decides what happens.
        catalogue: Answers what a run asks before its first row.
        seed: How connections end.

    Attributes:
        lock: Held while the model, or the world around it, is looked at or changed.
        failures: What broke in its threads.
        ended: Set when it shall stop.
    """

    def __init__(self, model: SimulatedDatabox, catalogue: Catalogue, seed: int) -> None:
        self.lock = threading.RLock()
        self.failures: list[BaseException] = []
        self.ended = threading.Event()
        self.requests = 0
        self._model = model
        self._catalogue = catalogue
        self._v1 = FaceOfV1(model, seed)
        self._rand = random.Random(seed * 43 + 7)  # noqa: S311 # no secret
        self._habit = self._rand.choice(HABITS)
        self._began_at: float | None = None
        self._runs: dict[str, tuple[int, threading.Event]] = {}
        self._dated_from = 0.0
        self._busy = self._late = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self._begin(self._accept)
        if model.plan.down is not None:
            self._begin(self._go_down)

    @property
    def is_lossy(self) -> bool:
        """Whether answers may get lost beside what the plan says."""
        return self._habit == "drops" or self._model.plan.down is not None

    def clock(self) -> float:
        """The plan's time, which begins with the first request."""
        return 0.0 if self._began_at is None else (time.monotonic() - self._began_at) * SCALE

    def admit(self, api_key: str, run: int) -> threading.Event:
        """Take requests of another run; returns what is set when the first one comes."""
        self._runs[api_key] = run, threading.Event()
        return self._runs[api_key][1]

    def rest(self, *, of_late: bool = False) -> None:
        """Wait until every request is carried out.

        Args:
            of_late: Whether to wait also for those that are carried out late.
        """
        while self._busy or (of_late and self._late):
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Stop listening."""
        with self.lock:
            self.ended.set()
            self._close()

    # Connections

    def _begin(self, act: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=self._guarded, args=(act, *arguments), daemon=True).start()

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001 # raised again by whoever plays
            self.failures.append(error)

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                # It is down.
                time.sleep(LOOK_SECONDS)
                continue
            self._begin(self._talk, connection, address)

    def _talk(self, connection: socket.socket, address: Any) -> None:
        with connection, contextlib.suppress(ConnectionError, TimeoutError):
            Talk(connection, address, self)  # type: ignore[arg-type] # needs nothing of a server

    def _go_down(self) -> None:
        """Refuse connections for a while."""
        assert self._model.plan.down is not None
        begin, end = self._model.plan.down
        self._sleep_until(begin)
        self._close()
        refusing = socket.socket()
        refusing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        refusing.bind(self._address)
        self._sleep_until(end)
        with self.lock:
            if self.ended.is_set():
                refusing.close()
            else:
                refusing.listen(128)
                self._listener = refusing

    def _sleep_until(self, moment: float) -> None:
        while self.clock() < moment and not self.ended.wait(LOOK_SECONDS):
            pass

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    # Requests

    def serve(self, asked: Asked, api_key: str, talk: Talk) -> None:
        """Carry a request out, or not, and answer it, or not."""
        run, is_here = self._runs.get(api_key, (0, self.ended))
        if not run:
            talk.answer(failed(401, "unauthorized", "Unknown key."))
            return
        with self.lock:
            self._busy += 1
            self.requests += 1
            if self._began_at is None:
                self._began_at = time.monotonic()
            if not is_here.is_set():
                is_here.set()
                self._dated_from = self.clock() + self._model.plan.dated_from
        try:
            self._serve(asked._replace(target=self._catalogue.inner(asked.target), run=run), talk)
        finally:
            with self.lock:
                self._busy -= 1

    def _serve(self, asked: Asked, talk: Talk) -> None:
        plan, model = self._model.plan, self._model
        self._travel()
        found = DELIVERY.fullmatch(urlsplit(asked.target).path)
        if found is not None and asked.is_v2 and asked.key and self._has_met_its_copy(asked, talk):
            return
        if found is not None and self._chance() < plan.hanging:
            self._carry_out_late(asked, talk)
            return
        with self.lock:
            now = self.clock()
            is_list = found is not None and found["what"] == "ingestions" and not found["one"]
            fault = model.fault(now, is_post=found is not None and found["what"] == "data", is_list=is_list)
            is_lost = fault is None and self._chance() < plan.lost_after
            reply = self._carried_out(asked, now) if fault is None else None
        self._travel()
        if fault is not None:
            self._fail(fault, talk)
        elif reply is not None and not is_lost:
            talk.answer(reply)
        elif reply is not None and reply.status == SUCCESS and self._chance() < 0.3:
            talk.answer(Reply(SUCCESS, {}, self._pick(GARBLED)))
        else:
            self._fail(model.lost(), talk, reply)

    def _carried_out(self, asked: Asked, now: float) -> Reply:
        method, target, body, key, run = asked
        if not DELIVERY.fullmatch(urlsplit(target).path):
            return self._catalogue.reply(method, target, body, key)
        if asked.is_v2:
            self._model.land(now)
            return self._model.v2.reply(method, target, body, key, now=now, run=run)
        return self._v1.reply(method, target, body, now=now, run=run)

    def _carry_out_late(self, asked: Asked, talk: Talk) -> None:
        """Say nothing until the client has gone, and carry the request out after that."""
        plan = self._model.plan
        if asked.key:
            self._model.in_progress[asked.place] = float("inf")
        with self._set_aside():
            talk.wait_for_its_end()
            latest = max(0.0, plan.listing_lag_setting - plan.list_lag - 0.1)
            self._sleep_until(self.clock() + self._chance() * (plan.lateness if asked.is_v2 else latest))
            with self.lock:
                self._carried_out(asked, self.clock())
                self._model.in_progress.pop(asked.place, None)

    def _has_met_its_copy(self, asked: Asked, talk: Talk) -> bool:
        """Whether a request found another with its idempotency key that is still being carried out."""
        plan, in_progress = self._model.plan, self._model.in_progress
        if asked.place not in in_progress or plan.meeting == "unaware":
            return False
        if plan.meeting == "conflict":
            talk.answer(failed(409, "conflict", "In progress."))
            return True
        with self._set_aside():
            while asked.place in in_progress:
                if talk.has_ended(LOOK_SECONDS):
                    # It is carried out after the first, when nobody listens any more.
                    self._wait_while(lambda: asked.place in in_progress)
                    with self.lock:
                        self._carried_out(asked, self.clock())
                    return True
        return False

    def _wait_while(self, is_so: Callable[[], bool]) -> None:
        while is_so() and not self.ended.wait(LOOK_SECONDS):
            pass

    @contextlib.contextmanager
    def _set_aside(self) -> Iterator[None]:
        """Count a request as late, no longer as busy."""
        with self.lock:
            self._busy -= 1
            self._late += 1
        try:
            yield
        finally:
            with self.lock:
                self._busy += 1
                self._late -= 1

    # Answers

    def _fail(self, fault: DataboxError, talk: Talk, reply: Reply | None = None) -> None:
        """Answer with a failure, or cut the answer off.

        Args:
            fault: The failure.
            talk: The connection.
            reply: What a request that was carried out would be answered.
        """
        if isinstance(fault, KeyRefusedError):
            talk.answer(failed(401, "unauthorized", "Authentication required."))
        elif isinstance(fault, ThrottledError):
            asked = fault.retry_after_seconds
            headers = {} if asked is None else {"Retry-After": f"{asked:g}"}
            talk.answer(Reply(429, headers, self._pick(UNREADABLE)))
        elif fault.status is not None:
            talk.answer(Reply(fault.status, {}, self._pick(UNREADABLE)))
        else:
            whole = b"" if reply is None else talk.written(reply)
            talk.cut(whole[: int(len(whole) * self._chance())], reset=self._chance() < 0.5)

    def date(self) -> str | None:
        """What stands in the header `Date`; nothing as long as the plan says so."""
        if self.clock() < self._dated_from:
            return None
        return email.utils.formatdate(EPOCH + self.clock(), usegmt=True)

    @property
    def habit(self) -> str:
        """What happens to a connection after, or while, it is answered."""
        return "kept" if self._habit == "drops" and self._chance() < 0.7 else self._habit

    def _travel(self) -> None:
        with self.lock:
            seconds = self._rand.uniform(*self._model.plan.latency) / 2 / SCALE
        time.sleep(seconds)

    def _chance(self) -> float:
        with self.lock:
            return self._rand.random()

    def _pick(self, choices: tuple[bytes, ...]) -> bytes:
        with self.lock:
            return self._rand.choice(choices)
