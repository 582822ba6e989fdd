"""The supported API versions and their clients; no other module names the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from target_databox.api.v1.dialect import V1
from target_databox.api.v2.dialect import V2

if TYPE_CHECKING:
    from target_databox.api.dialect import Dialect
    from target_databox.api.v1.client import DataboxClient as ClientOfV1
    from target_databox.api.v2.client import DataboxClient as ClientOfV2

    AnyClient: TypeAlias = ClientOfV1 | ClientOfV2

# The version that reads rows back.
READING_BACK: Final = V2

DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (V1, V2)}


def client_class(version: str) -> type[AnyClient]:
    """The client of a version, such as `v1`."""
    if version == V2.name:
        from target_databox.api.v2.client import DataboxClient as ClientOfV2

        return ClientOfV2
    from target_databox.api.v1.client import DataboxClient as ClientOfV1

    return ClientOfV1


def reading_client_class() -> type[ClientOfV2]:
    """The client of the version that reads rows back."""
    from target_databox.api.v2.client import DataboxClient as ClientOfV2

    return ClientOfV2
