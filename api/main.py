"""What `uvicorn api.main:app` serves, configured by `LOWLAND_*`."""

from api.app import create_app
from api.settings import ApiSettings

app = create_app(ApiSettings.of_process())
