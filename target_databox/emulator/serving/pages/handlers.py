"""Answers a browser: finds the page that it asks for."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from target_databox.emulator.serving.pages import plots, views
from target_databox.emulator.state.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from target_databox.emulator.serving.emulation import Emulation

_HEADERS = {
    # Nothing from elsewhere, no script but our own, and none inside what was loaded.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILES = {"style.css": "text/css", "refresh.js": "text/javascript"}


def add_pages(application: web.Application, emulation: Emulation) -> None:
    """Add the pages to an application, before whatever answers unknown paths.

    Args:
        application: The emulator's.
        emulation: What the pages show.
    """
    environment = Environment(
        loader=PackageLoader("target_databox.emulator.serving.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(views.FILTERS)
    environment.globals.update({name: getattr(plots, name) for name in ("WIDTH", "HEIGHT", "LEFT", "RIGHT")})

    def page(view: Callable[..., views.Page]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            asked = views.Request(
                str(request.url.origin()), request.path, dict(request.match_info), dict(request.query)
            )
            # In a thread of its own: a large data set must not hold up the requests that load it.
            status, text = await asyncio.to_thread(_rendered, view, asked)
            return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)

        return answer

    def _rendered(view: Callable[..., views.Page], asked: views.Request) -> tuple[int, str]:
        try:
            shown = view(emulation, asked)
        except RefusedError as refused:
            shown = views.Page("missing.html", refused.message, {}, 404)
        template = environment.get_template(shown.template)
        common = {"title": shown.title, "path": asked.path, "version": views.version(emulation)}
        return shown.status, template.render(**common, **shown.fields)

    async def current_version(_: web.Request) -> web.Response:
        return web.Response(text=views.version(emulation), headers=_HEADERS)

    async def description(_: web.Request) -> web.Response:
        text = (files("target_databox.emulator.serving") / "openapi.json").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="application/json", headers=_HEADERS)

    async def file(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            return web.Response(status=404, text="There is no such file.")
        text = (files(__package__) / "static" / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=_FILES[name], headers=_HEADERS)

    application.router.add_get("/", page(views.overview))
    application.router.add_get("/datasets/{dataset_id}", page(views.dataset))
    application.router.add_get("/ingestions", page(views.ingestions))
    application.router.add_get("/rejected", page(views.rejected))
    application.router.add_get("/requests", page(views.requests))
    application.router.add_get("/version", current_version)
    application.router.add_get("/openapi.json", description)
    application.router.add_get("/static/{name}", file)
