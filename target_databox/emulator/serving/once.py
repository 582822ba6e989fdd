"""Heeds `Idempotency-Key`: what was carried out for a key is answered again and not done again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from target_databox.emulator.state.errors import InvalidInputError, KeyInUseError
from target_databox.emulator.state.json_rows import UNREADABLE

if TYPE_CHECKING:
    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.serving.calls import Call
    from target_databox.emulator.serving.route import Route

HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key counts for: user, account, route and resource, as one text with the key."""

    text: str

    def given(self, call: Call) -> str:
        """The request's input in short; equal for equal inputs."""
        text = call.body
        if call.store.assumptions.idempotency_input == "json":
            try:
                # Numbers stay the text in which they came.
                values = json.loads(call.body, parse_float=str, parse_int=str) if call.body else None
                text = json.dumps(values, sort_keys=True).encode()
            except UNREADABLE:
                pass
        return hashlib.sha256(text).hexdigest()


def scope_of(route: Route | None, call: Call, path: str) -> Scope | None:
    """The scope of a request's key; `None` when it has no key, or its route heeds none.

    Args:
        route: The request's route.
        call: The request.
        path: The request's path, which names route and resource.

    Raises:
        InvalidInputError: The key is no UUID.
    """
    key = call.headers.get(HEADER)
    if route is None or not route.once or key is None:
        return None
    if call.store.assumptions.idempotency_key_text == "uuid":
        try:
            key = str(uuid.UUID(key)) if len(key) == 36 else ""
        except ValueError:
            key = ""
        if not key:
            raise InvalidInputError(f"{HEADER} must be a UUID.", HEADER)
    user = call.actor.id if call.actor else None
    account = call.headers.get("x-account-id", str(call.store.own_account().id))
    return Scope(json.dumps([user, account, path, key]))


class Turns:
    """Lets requests with one key take turns, so that the second one sees what the first one did."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, scope: Scope, assumptions: Assumptions) -> asyncio.Lock:
        """What to hold from the request's arrival to its answer.

        Raises:
            KeyInUseError: Another request holds it, and does not share.
        """
        lock = self._locks.get(scope.text)
        if lock is None:
            lock = self._locks[scope.text] = asyncio.Lock()
        if lock.locked() and assumptions.idempotency_overlap == "409":
            raise KeyInUseError("Another request with this key is not answered yet.", HEADER)
        return lock
