"""Serves the emulated API over HTTP: parses, calls the routes and serialises; knows no rules of the API."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from aiohttp import web

from target_databox.emulator.serving import answers
from target_databox.emulator.serving.calls import Call
from target_databox.emulator.serving.emulation import Emulation, shown_key
from target_databox.emulator.serving.exchanges import Exchange, ExchangeLog, shortened
from target_databox.emulator.serving.faults import FaultPlan
from target_databox.emulator.serving.hosts import HostGuard
from target_databox.emulator.serving.meter import Limits
from target_databox.emulator.serving.once import HEADER, Turns, scope_of
from target_databox.emulator.serving.pages.handlers import add_pages
from target_databox.emulator.serving.routes import ROUTES
from target_databox.emulator.state.errors import InvalidInputError, RefusedError, UnknownRouteError
from target_databox.emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from target_databox.emulator.serving.once import Scope
    from target_databox.emulator.serving.route import Route

# More than any request that the API allows, so that the routes see a larger one and refuse it themselves.
_READ_LIMIT_BYTES = 64_000_000
_PROXY_LIMIT_BYTES = 30_000_000  # grade O


class Emulator:
    """A server of the Databox API, v1 and v2, on this machine, running in a thread of its own.

    May be used as a context manager.

    Args:
        store: The state to serve; an empty one in memory when it is not given. Closed by `stop` in that case.
        host: The address to listen on.
        port: The port to listen on; 0 finds a free one.
        api_keys: The keys that are valid; one is made up when there are none.
        limits: What one key may do.
        faults: Planned failures.
        log: Remembers the exchanges.
        role: The role of the keys' users: `admin`, `user`, `editor` or `viewer`.
        store_options: Arguments for the store in memory.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_keys: Sequence[str] = (),
        limits: Limits | None = None,
        faults: FaultPlan | None = None,
        log: ExchangeLog | None = None,
        role: str = "admin",
        **store_options: Any,
    ) -> None:
        self._owns_store = store is None
        self.store = store or Store(**store_options)
        self.faults = faults or FaultPlan()
        self.log = log or ExchangeLog()
        self._emulation = Emulation(
            self.store, tuple(api_keys), limits or Limits(), self.faults, self.log, role
        )
        self.limits = self._emulation.limits
        self.api_keys = self._emulation.api_keys
        self._turns = Turns()
        self.host = host
        self.port = port
        self._guard = HostGuard(host)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """The address for a client on this machine, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def api_key(self) -> str:
        """The first of the valid keys."""
        return self.api_keys[0]

    def start(self) -> Self:
        """Start to serve; returns when requests are answered.

        Raises:
            OSError: The address can't be listened on.
        """
        ready: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(ready,), name="emulator", daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Stop to serve, and close the store if this emulator made it. Stopping twice does no harm."""
        if self._thread is not None:
            if self._loop is not None and self._stopped is not None:
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()
            self._thread = None
        if self._owns_store:
            self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, ready: Future[None]) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        # Clients keep their connections open, so waiting for them to close theirs would wait for nothing.
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.05)
        try:
            await runner.setup()
            await web.TCPSite(runner, self.host, self.port).start()
            self.port = runner.addresses[0][1]
            self._guard.listens_on(runner.addresses[0][0])
        except OSError as exc:
            await runner.cleanup()
            ready.set_exception(exc)
            return
        ready.set_result(None)
        await self._stopped.wait()
        await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(
            client_max_size=_READ_LIMIT_BYTES, middlewares=[self._guard.middleware()]
        )
        for route in ROUTES:
            application.router.add_route(route.method, route.path, self._handler(route))
        add_pages(application, self._emulation)
        application.router.add_route("*", "/{path:.*}", self._handler(None))
        return application

    def _handler(self, route: Route | None) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            began, at = time.perf_counter(), time.time()
            version = route.version if route else _version(request.path)
            call = Call(self.store, request.match_info, request.query, request.headers)
            response = await self._answer(route, request, call, version or "v1")
            self.log.add(
                Exchange(
                    at,
                    time.perf_counter() - began,
                    shortened(request.method),
                    route.name if route else None,
                    shortened(request.path_qs),
                    response.status if response else None,
                    shown_key(request.headers.get("x-api-key", "")),
                    call.rows,
                    len(call.body),
                    call.body if self.log.keep_bodies else None,
                    version,
                    shortened(request.headers[HEADER]) if HEADER in request.headers else None,
                    call.replayed,
                )
            )
            if response is None:
                _cut(request)
                return web.Response()  # goes nowhere: its connection is cut
            return response

        return handle

    async def _answer(
        self, route: Route | None, request: web.Request, call: Call, version: str
    ) -> web.Response | None:
        """The answer to a request; `None` stands for a connection that has to be cut."""
        assumptions = self.store.assumptions
        if (request.content_length or 0) > _PROXY_LIMIT_BYTES:
            return answers.page(413)
        key = request.headers.get("x-api-key")
        if key not in self.api_keys:
            message = "Authentication required: the API key is missing or invalid."
            return answers.problem(401, message, None, "x-api-key", "authentication")
        call.actor = self._emulation.actor(key)
        wait = self._emulation.meter(key).refusal_seconds()
        if wait is not None:
            return answers.throttled(version, wait, assumptions)
        try:
            scope = scope_of(route, call, request.path)
            if scope is None:
                return await self._struck(route, request, call, version, None)
            async with self._turns.turn(scope, assumptions):
                return await self._struck(route, request, call, version, scope)
        except RefusedError as refused:
            return answers.refusal(version, refused, assumptions)

    async def _struck(
        self, route: Route | None, request: web.Request, call: Call, version: str, scope: Scope | None
    ) -> web.Response | None:
        """The answer to a request that may be made, struck by the faults that are planned for it."""
        call.faults = faults = self.faults.struck(route.name if route else "unknown", version)
        for fault in faults:
            if fault.delay_before_seconds:
                await asyncio.sleep(fault.delay_before_seconds)
        if any(fault.drop == "before" for fault in faults):
            return None
        call.body = await request.read()
        planned = next((fault for fault in faults if fault.status is not None), None)
        if planned and not planned.after_write:
            return answers.planned(planned)
        response = self._done(route, request, call, version, scope)
        for fault in faults:
            if fault.delay_after_seconds:
                await asyncio.sleep(fault.delay_after_seconds)
        if any(fault.drop == "after" for fault in faults):
            return None
        return answers.planned(planned) if planned else response

    def _done(
        self, route: Route | None, request: web.Request, call: Call, version: str, scope: Scope | None
    ) -> web.Response:
        if len(call.body) > _PROXY_LIMIT_BYTES:
            return answers.page(413)
        try:
            if route is None:
                raise UnknownRouteError("There is no such route.")
            if call.body and not re.match(r"application/json\b", request.headers.get("Content-Type", "")):
                raise InvalidInputError("Content-Type must be application/json.", "Content-Type")
            if scope is None:
                return answers.success(version, route.answer(call), self.store.assumptions)
            given = scope.given(call)
            kept = self.store.kept_answers.find(scope.text, given)
            if kept is not None:
                call.replayed = True
                return web.Response(body=kept, content_type="application/json")
            response = answers.success(version, route.answer(call), self.store.assumptions)
        except RefusedError as refused:
            return answers.refusal(version, refused, self.store.assumptions)
        if not any(fault.forgets for fault in call.faults):
            self.store.kept_answers.keep(scope.text, given, bytes(response.body or b""))  # type: ignore[arg-type] # always bytes
        return response


def _version(path: str) -> str:
    return next((version for version in ("v1", "v2") if path.startswith(f"/{version}/")), "")


def _cut(request: web.Request) -> None:
    """Cut a connection as a failing network would, with a reset where the system can send one."""
    with suppress(RuntimeError):
        if request.transport is not None:
            request.transport.abort()
