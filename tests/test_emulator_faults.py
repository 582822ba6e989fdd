"""Which requests a planned fault strikes, and how faults are written on a command line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from target_databox.emulator.serving.faults import Fault, FaultPlan, fault_from_text


@pytest.mark.parametrize(
    ("attributes", "struck"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 3}, [3]),
        ({"every": 2}, [2, 4, 6]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 1}, [2]),
        ({"probability": 0.0}, []),
        ({"probability": 1.0}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_faults_count_matching_requests(attributes: dict[str, Any], struck: list[int]) -> None:
    """A fault counts the requests on its route only, and strikes those that its attributes name."""
    fault = Fault("post_rows", status=503, **attributes)
    hits = []
    for n in range(1, 7):
        assert not fault.strikes("ingestion")
        if fault.strikes("post_rows"):
            hits.append(n)
    assert hits == struck
    assert fault.hits == len(struck)


def test_probability_repeats_with_its_seed() -> None:
    """Draws with one seed are the same every time."""
    drawn = [
        [fault.strikes("x") for _ in range(50)]
        for fault in (Fault(probability=0.5, seed=7, status=500) for _ in range(2))
    ]
    assert drawn[0] == drawn[1]
    assert 10 < sum(drawn[0]) < 40


def test_patterns_match_routes() -> None:
    """A route may be a pattern."""
    plan = FaultPlan()
    fault = plan.add("ingestion*", status=500)
    assert plan.struck("ingestions") == plan.struck("ingestion") == [fault]
    assert plan.struck("post_rows") == []
    plan.clear()
    assert plan.struck("ingestion") == []


@pytest.mark.parametrize(
    ("rule", "row", "rejected"),
    [
        ("city=Ljubljana", {"city": "Ljubljana"}, True),
        ("city=Ljubljana", {"city": "Maribor"}, False),
        ("city=Ljubljana", {}, False),
        ("n=1.50", {"n": Decimal("1.50")}, False),
        ("n=1", {"n": 1}, True),
        ("ok=true", {"ok": True}, True),
        ("*", {}, True),
        (lambda row: row["n"] > 1, {"n": 2}, True),
        ("n=2", {"n": [2]}, False),
    ],
)
def test_rows_are_rejected_by_rule(rule: Any, row: dict[str, Any], rejected: bool) -> None:
    """A rule rejects rows by a column's value, all of them, or by a predicate."""
    assert Fault(reject_rows=rule).rejects(row) is rejected


def test_faults_read_from_text() -> None:
    """A fault is written as a route with pairs, or as a JSON object."""
    fault = fault_from_text("post_rows,nth=3,status=503,after_write=true,drop=after,reject_rows=n=1")
    assert (fault.route, fault.nth, fault.status, fault.after_write) == ("post_rows", 3, 503, True)
    assert (fault.drop, fault.reject_rows) == ("after", "n=1")
    same = fault_from_text('{"route": "post_rows", "status": 429, "headers": {"Retry-After": "2"}}')
    assert (same.status, dict(same.headers)) == (429, {"Retry-After": "2"})


@pytest.mark.parametrize("status", [520, 522, 524, 529])
def test_odd_statuses_are_written_like_any(status: int) -> None:
    """A status that only proxies send can be planned on a command line, after the write too."""
    fault = fault_from_text(f"post_rows,status={status},after_write=true,html=true")
    assert (fault.status, fault.after_write, fault.html) == (status, True, True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("post_rows,colour=red", "no attribute 'colour'"),
        ("post_rows,status", "not attribute=value"),
        ("post_rows,status=99", "from 200 to 599"),
        ("post_rows,status=often", "is no fault"),
        ("post_rows,drop=never", "before or after"),
        ("post_rows,nth=1", "does nothing"),
        ("post_rows,nth=0", "at least 1"),
        ("post_rows,reject_rows=all", "column=value"),
        ("{nonsense", "is no fault"),
    ],
)
def test_bad_faults_are_explained(text: str, complaint: str) -> None:
    """Text that is no fault is an error that says why."""
    with pytest.raises(ValueError, match=complaint):
        fault_from_text(text)
