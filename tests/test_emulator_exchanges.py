"""The log of requests stays small, whatever is asked."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import requests

from target_databox.emulator.serving.exchanges import Exchange, ExchangeLog, shortened

if TYPE_CHECKING:
    from target_databox.emulator import Emulator


def exchange(path: str) -> Exchange:
    """An exchange of a path."""
    return Exchange(1.5, 0.25, "GET", None, path, 404, "pak_1234", 0, 0)


def test_endless_texts_are_cut(emulator: Emulator) -> None:
    """Path and Idempotency-Key are remembered by their beginnings."""
    headers = {"x-api-key": emulator.api_key, "Idempotency-Key": "k" * 8000}
    answer = requests.request("GET", f"{emulator.url}/v2/{'p' * 7000}", headers=headers, timeout=5)
    assert answer.status_code == 404
    (kept,) = emulator.log
    assert (len(kept.path), len(kept.idempotency_key or "")) == (301, 301)
    assert kept.path.startswith("/v2/ppp")
    assert kept.path.endswith("…")


def test_short_texts_stay() -> None:
    """What the API's own paths need is not cut."""
    assert shortened("/v1/datasets/1?page=2") == "/v1/datasets/1?page=2"
    assert shortened("x" * 300) == "x" * 300


def test_log_is_bounded_as_a_whole() -> None:
    """However many requests there are, and however long, the log needs at most 64 MB; the newest stay."""
    log = ExchangeLog(length=10**9)
    tracemalloc.start()
    try:
        for number in range(120_000):
            log.add(exchange(shortened(f"/{number}/{'p' * 8000}")))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = [each.path for each in log]
    assert 64_000_000 / 2 < used < 70_000_000
    assert kept[-1].startswith("/119999/")
    assert log.total == 120_000 > len(kept) > 50_000


def test_length_bounds_the_log() -> None:
    """No more exchanges are remembered than the log is long, and forgetting them makes room again."""
    log = ExchangeLog(length=3)
    for number in range(10):
        log.add(exchange(f"/{number}"))
    assert [each.path for each in log] == ["/7", "/8", "/9"]
    log.clear()
    assert (len(log), log.total, log._bytes) == (0, 0, 0)
