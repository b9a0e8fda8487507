"""Puts the API together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api.openapi import describe
from api.problems import exception_handlers
from api.routes import artifacts, health, jobs, listing, workers
from api.settings import ApiSettings
from ledger import AsyncLedger, Keys
from lowland import __version__


def create_app(settings: ApiSettings) -> FastAPI:
    """The API over the ledger that the settings name. It starts, and says so in `/readyz`, when that ledger is away."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ledger = AsyncLedger(settings.redis_url, Keys(settings.redis_prefix))
        yield
        await app.state.ledger.close()

    app = FastAPI(
        title="Lowland",
        summary="Trains models into flat minima on request.",
        version=__version__,
        lifespan=lifespan,
        exception_handlers=exception_handlers(),
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    for router in (jobs.router, listing.router, artifacts.router, workers.router, health.router):
        app.include_router(router)
    describe(app)
    return app
