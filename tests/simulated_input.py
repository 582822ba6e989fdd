"""The input of a simulated world: rows of its streams, on lines, with STATEs between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.promises import Message

if TYPE_CHECKING:
    import random

    from tests.simulated_plan import Plan


def input_of(plan: Plan, rand: random.Random, first: int) -> list[Message]:
    """The input of a world.

    Args:
        plan: What it is made of.
        rand: What happens.
        first: The number before the first message, and the first key.
    """
    messages = []
    latest: dict[int, dict[str, Any]] = {}
    line, stream, room = 0, -1, 0
    for place in range(1, plan.rows + 1):
        number = first + place
        if place % plan.state_every == 0:
            messages.append(Message(number, number, None))
            room = 0
            continue
        if not room:
            line, room = number, rand.randint(1, plan.line_rows)
            stream = rand.randrange(len(plan.streams))
        room -= 1
        row = {"id": first + rand.randrange(plan.keys), "n": number}
        if rand.random() < plan.bad:
            row["bad"] = 1
        is_odd = bool(plan.odd) and rand.random() < plan.odd
        twins = plan.habits.twins
        if twins and not plan.streams[stream][0] and rand.random() < twins:
            row = dict(latest.get(stream, row))
        latest[stream] = row
        messages.append(Message(number, line, stream, row, is_odd))
    messages.append(Message(first + plan.rows + 1, first + plan.rows + 1, None))
    return messages
