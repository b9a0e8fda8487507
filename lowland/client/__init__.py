"""The client: submit jobs to a Lowland server, wait for them, follow them, fetch what they made."""

from lowland.client.asynchronous import AsyncClient
from lowland.client.blocking import Client
from lowland.client.calls import JobFilters
from lowland.client.curves import Curves
from lowland.client.following import JobEvent

__all__ = ["AsyncClient", "Client", "Curves", "JobEvent", "JobFilters"]
