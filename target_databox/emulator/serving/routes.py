"""Every route of the emulated API, of both versions: what one makes, the other sees."""

from __future__ import annotations

from target_databox.emulator.serving import v1, v2

ROUTES = (*v1.ROUTES, *v2.ROUTES)
