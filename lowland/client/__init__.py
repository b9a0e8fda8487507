"""The client: submit jobs to a Lowland server, wait for them, fetch what they made."""

from lowland.client.blocking import Client

__all__ = ["Client"]
