"""Canaries through every failure of Databox: neither the key nor a value of a row is ever logged."""

from __future__ import annotations

import io
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.failures import is_explained, log_failure
from target_databox.target import TargetDatabox
from tests.command import QUICK, record, schema, state, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import EmulatorMaker

pytestmark = pytest.mark.usefixtures("signals")

KEY = "pak_4b1dcafe-0000-4000-8000-canarycanary"
VALUE = "canary-of-a-row"
SECRETS = (KEY, KEY.removeprefix("pak_"), VALUE)

ROUTES_OF_ROWS = ("post_rows", "ingestion")
ROUTES = (
    *ROUTES_OF_ROWS,
    *("accounts", "data_sources", "create_data_source", "datasets", "create_dataset", "dataset"),
    *("ingestions", "purge"),
)
ERROR = {"requestId": "r-1", "status": "error"}
STATUSES = (200, 301, 307, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 431, 500, 501, 503, 520)
FAULTS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in STATUSES},
    "413 after": {"status": 413, "after_write": True},
    "page": {"status": 502, "html": True},
    "cut before": {"drop": "before"},
    "cut after": {"drop": "after"},
}


def echo(route: str) -> str:
    """An answer that quotes what it was sent: the key everywhere, rows where they are sent or asked about."""
    said = f"Key {KEY} may not do that"
    if route in ROUTES_OF_ROWS:
        said = f"{said}; row {json.dumps({'id': 7, 'name': VALUE})} is bad, since '{VALUE}' is"
    problem = {"code": "invalid_input", "message": said, "field": "name", "type": "validation"}
    return json.dumps({**ERROR, "errors": [problem, {**problem, "code": None}]})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("route", ROUTES)
def test_no_fault_reveals_a_secret(
    make_emulator: EmulatorMaker,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    route: str,
    fault: str,
) -> None:
    """With every logger at DEBUG, no log, output, error or traceback holds a secret, and no file the key."""
    emulator = make_emulator(api_keys=[KEY])
    source = emulator.store.create_data_source("target-databox") if route != "create_data_source" else None
    if source is not None and route in {"purge", "ingestions", "dataset"}:
        emulator.store.create_dataset("orders", source.id, ["id"])
    headers = {"Retry-After": "0"} if fault == "429" else {}
    if fault.startswith("3"):
        headers["Location"] = f"{emulator.url}/elsewhere?key={KEY}"
    # A 429 is waited for as long as it takes, so it comes once.
    planned = emulator.faults.add(
        route,
        times=1 if fault in {"429", "413 after"} else None,
        **{**FAULTS[fault], "headers": headers, "body": None if "html" in FAULTS[fault] else echo(route)},
    )
    rejects = tmp_path / "rejects.singer"
    config = {
        **QUICK,
        "api_url": emulator.url,
        "api_key": KEY,
        "retry_seconds": 0,
        "shutdown_seconds": 0.1,
        "confirmation_timeout_seconds": 0.1,
        "listing_lag_seconds": 0.0,
        "load_method": "overwrite" if route == "purge" else "upsert",
        "rejects_path": str(rejects),
    }
    messages = text(schema(), record(id=7, name=VALUE), record(id=8, name=VALUE), state(at=1))
    failure: BaseException | None = None
    with caplog.at_level(logging.DEBUG):
        try:
            TargetDatabox(config=config).listen(io.BytesIO(messages))  # type: ignore[arg-type] # bytes, as it reads
        except Exception as error:  # noqa: BLE001 # looked at below
            failure = error
            log_failure(logging.getLogger("target-databox"), error)
    assert planned.hits
    assert failure is None or is_explained(failure)
    # What is said is said: an empty log would hold no secret either.
    assert "Loading into" in caplog.text or "GET /v1/" in caplog.text
    reported = [entry.getMessage() for entry in caplog.records]
    reported += [entry.exc_text or "" for entry in caplog.records]
    reported += capfd.readouterr()
    if failure is not None:
        reported += traceback.format_exception(type(failure), failure, failure.__traceback__)
    for secret in SECRETS:
        assert not [each for each in reported if secret in each]
    if rejects.exists():
        assert SECRETS[1] not in rejects.read_text()
