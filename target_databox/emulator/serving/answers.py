"""Writes the answers of both versions of the API, and those of the gateway and the proxy in front of it."""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from target_databox.emulator.state.errors import (
    ForbiddenError,
    KeyInUseError,
    KeyReusedError,
    LockedError,
    TooLargeError,
    UnknownObjectError,
    UnknownRouteError,
)

if TYPE_CHECKING:
    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.serving.faults import Fault
    from target_databox.emulator.state.errors import RefusedError

_ERROR_PAGE = "<!doctype html><title>{status}</title><h1>{status}</h1><p>The server could not answer.</p>"
_STATUSES: dict[type[RefusedError], int] = {
    ForbiddenError: 403,
    UnknownRouteError: 404,
    UnknownObjectError: 404,
    KeyInUseError: 409,
    TooLargeError: 413,
    KeyReusedError: 422,
    LockedError: 500,
}


def success(version: str, fields: dict[str, Any] | None, assumptions: Assumptions) -> web.Response:
    """The answer to a request that was carried out.

    Args:
        version: `v1` or `v2`.
        fields: What the route returns; `None` for nothing.
        assumptions: What is taken for true.
    """
    if version == "v1":
        return _envelope(200, {"status": "success", **(fields or {})})
    if fields is None and assumptions.empty_success == "nothing":
        return web.Response(status=200)
    body = msgspec.json.encode({"requestId": str(uuid.uuid4()), "status": "success", "data": fields or {}})
    return web.Response(body=body, content_type="application/json")


def refusal(version: str, refused: RefusedError, assumptions: Assumptions) -> web.Response:
    """The answer to a request that was refused.

    Args:
        version: `v1` or `v2`.
        refused: Why.
        assumptions: What is taken for true.
    """
    status, code, field = _STATUSES.get(type(refused), 400), refused.code, refused.field
    if version == "v1":
        if isinstance(refused, UnknownObjectError):
            status = int(assumptions.unknown_id_status)
        elif isinstance(refused, TooLargeError):
            status = int(assumptions.too_large_status)
            code = "invalid_input" if status == 400 else code
    else:
        code = "not_found" if status == 404 else code
        field = "" if field is None and assumptions.problem_field == "empty" else field
    return problem(status, refused.message, code, field, refused.type)


def problem(
    status: int, message: str, code: str | None = None, field: str | None = None, kind: str = "validation"
) -> web.Response:
    """The envelope of an error, which both versions share."""
    errors = [{"code": code, "message": message, "field": field, "type": kind}]
    return _envelope(status, {"status": "error", "errors": errors})


def _envelope(status: int, fields: dict[str, Any]) -> web.Response:
    body = json.dumps({"requestId": str(uuid.uuid4()), **fields}, ensure_ascii=False)
    return web.Response(status=status, text=body, content_type="application/json")


def page(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """An HTML page, as a proxy would send it."""
    text = _ERROR_PAGE.format(status=status)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def throttled(version: str, wait_seconds: float, assumptions: Assumptions) -> web.Response:
    """The gateway's answer to a request beyond the limits."""
    answer = assumptions.v2_throttle_answer if version == "v2" else assumptions.throttle_answer
    if answer == "html":
        return page(429)
    if answer == "empty":
        return web.Response(status=429)
    response = problem(429, "Too many requests.", None, None, "rate_limit")
    if answer == "retry-after":
        response.headers["Retry-After"] = str(max(1, math.ceil(wait_seconds)))
    return response


def planned(fault: Fault) -> web.Response:
    """The answer that a planned fault gives."""
    status = fault.status or 500
    headers = dict(fault.headers)
    if fault.html:
        return page(status, headers)
    if fault.body is not None:
        headers.setdefault("Content-Type", "application/json")
        return web.Response(status=status, body=fault.body.encode(), headers=headers)
    response = problem(status, "This failure was planned.", None, None, "planned")
    response.headers.update(headers)
    return response
