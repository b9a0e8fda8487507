"""What `uvicorn api.main:app` serves, configured by `LOWLAND_*`."""

import logging
from typing import Final

from api.app import create_app
from api.settings import ApiSettings
from ledger.logs import configure

#: Uvicorn has set these up by the time it imports this module.
_UVICORN: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

settings = ApiSettings.of_process()
configure(settings, process="api")
for name in _UVICORN:
    logging.getLogger(name).handlers.clear()
    logging.getLogger(name).propagate = name != "uvicorn.access"  # our line of a request is another (api/requests.py)
app = create_app(settings)
