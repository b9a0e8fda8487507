"""The HTTP API: thin over the ledger. Inputs are checked, one thing is called, a model or a problem goes out."""

from api.app import create_app
from api.settings import ApiSettings

__all__ = ["ApiSettings", "create_app"]
