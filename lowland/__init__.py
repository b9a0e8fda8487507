"""Lowland: train models into flat minima, through a REST server.

    from lowland import Client

The contract is `lowland.spec`, the client `lowland.client`, the command line `lowland.cli`. Importing this is instant:
the client is imported when it is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowland.client import AsyncClient as AsyncClient
    from lowland.client import Client as Client

__all__ = ["AsyncClient", "Client", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in ("AsyncClient", "Client"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lowland import client  # noqa: PLC0415  takes some 200 ms, which the command line's help has not

    return getattr(client, name)
