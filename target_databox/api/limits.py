"""What all versions of the API share: the address, and the rate limit of an API key.

Grades: D documented by Databox, O the official Databox client does so, A assumed.
"""

from __future__ import annotations

from typing import Final

DEFAULT_API_URL: Final = "https://api.databox.com"  # D: servers, API index

REQUESTS_PER_SECOND: Final = 10  # D: per API key, every request counted, help article; v2 O
REQUESTS_PER_HOUR: Final = 10_000  # D: likewise; A: one budget for all versions
