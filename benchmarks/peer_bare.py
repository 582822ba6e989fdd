"""The floor of a load: a bare loop of `requests` that posts bodies that are there already, and confirms each.

Run `python benchmarks/peer_bare.py URL FILE`: the file has one body a line. No record is read, validated or
encoded, and there are no threads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import requests


def main() -> None:
    """Post every body and read what became of it."""
    api_url, path = sys.argv[1:]
    with requests.Session() as session, Path(path).open("rb") as bodies:
        session.trust_env = False
        session.headers.update({"x-api-key": "k", "Content-Type": "application/json"})
        route = f"{api_url}/v2/datasets/1"
        for body in bodies:
            accepted = session.post(f"{route}/data", data=body.rstrip(b"\n")).json()["data"]
            outcome = session.get(f"{route}/ingestions/{accepted['ingestionId']}").json()["data"]
            if outcome["status"] != "success":
                raise SystemExit(f"Ingestion {outcome['id']} is {outcome['status']}.")


if __name__ == "__main__":
    main()
