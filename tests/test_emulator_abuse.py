"""The emulator under generated requests, valid and not: it answers as described, and never fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from target_databox.emulator.serving.routes import ROUTES

if TYPE_CHECKING:
    from target_databox.emulator import Emulator

# Its command, since its sequences of requests can't be had from within a test.
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# What another method than the described ones gets is not documented: there is no such route here. And who
# deletes a data source deletes its datasets, as documented, so what was just created may be gone.
WITHOUT = "unsupported_method,ensure_resource_availability"
CONFIG = """
# More rows or bytes than a request may have are a 413.
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 422, 429]
# A key that came before with other input is a 422, and no schema can say which keys came before.
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 422, 429]
# A schema can't say which time zones there are: any other is refused, as documented.
[[operations]]
include-operation-id = ["create_data_source", "v2_create_data_source"]
[operations.checks]
positive_data_acceptance.enabled = false
# An organization that manages no accounts gets a 400 for their list; a column to sort by has to be there.
[[operations]]
include-operation-id = ["v2_accounts", "v2_read_rows"]
[operations.checks]
positive_data_acceptance.enabled = false
"""
FEWEST_REQUESTS = 1000


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="schemathesis needs Python 3.11")
def test_generated_requests_are_answered_as_described(emulator: Emulator, tmp_path: Path) -> None:
    """Hundreds of odd requests make it neither fail, nor forget the key, nor say what is not described."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [str(SCHEMATHESIS), "--config-file", str(config), "run", f"{emulator.url}/openapi.json"]
    options = {
        "header": f"x-api-key: {emulator.api_key}",
        "exclude-checks": WITHOUT,
        "max-examples": "20",
        "seed": "1",
        "request-timeout": "10",
        "generation-database": "none",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    run = subprocess.run(
        [*command, *arguments, "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert emulator.log.total > FEWEST_REQUESTS
    for route in ROUTES:
        exchanges = [each for each in emulator.log.of(route.name) if each.version == route.version]
        statuses = {each.status for each in exchanges}
        assert 401 in statuses
        assert max(status or 0 for status in statuses) < 500


def test_key_is_required_everywhere(emulator: Emulator) -> None:
    """Every route, known or not, answers 401 to a request without a key, with a wrong one, or a cut one."""
    for key in ("", "wrong", emulator.api_key[:-1], emulator.api_key + "x", emulator.api_key.upper()):
        for method, path in [
            *((route.method, route.path) for route in ROUTES),
            ("GET", "/v1/nothing"),
            ("GET", "/v2/nothing"),
        ]:
            address = emulator.url + re.sub(r"\{\w+\}", "1", path)
            answer = requests.request(method, address, headers={"x-api-key": key} if key else {}, timeout=5)
            assert answer.status_code == 401, f"{method} {path}"
    assert emulator.store.data_sources() == []
