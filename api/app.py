"""Puts the API together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig

from api.access import GUARD_PROBLEMS, Gate, guard, guard_for_admins, guard_for_scrapes
from api.auditing import Audited
from api.following import Streams
from api.limiting import Rates
from api.metrics import Metrics
from api.openapi import describe
from api.problems import exception_handlers, problems
from api.proxies import stand_behind
from api.requests import observe
from api.routes import (
    artifacts,
    audit,
    catalogue,
    events,
    health,
    jobs,
    listing,
    logs,
    metrics,
    monitoring,
    sessions,
    webhooks,
    workers,
)
from api.settings import ApiSettings
from api.stopping import told_to_stop
from api.views import Views
from ledger import AsyncLedger, Keys
from lowland import __version__


def create_app(settings: ApiSettings) -> FastAPI:
    """The API over the ledger that the settings name. It starts, and says so in `/readyz`, when that ledger is away."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keys = Keys(settings.redis_prefix)
        ledger = app.state.ledger = AsyncLedger(settings.redis_url, keys)
        app.state.rates = Rates(settings.redis_url, keys)
        with told_to_stop() as app.state.stopping:
            app.state.views = Views(ledger)
            async with ledger.changes.heard():
                yield
        await app.state.rates.close()
        await ledger.close()

    app = FastAPI(
        title="Lowland",
        summary="Trains models into flat minima on request.",
        version=__version__,
        lifespan=lifespan,
        exception_handlers=exception_handlers(),
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        telemetry=_telemetry(on=settings.telemetry),
    )
    app.state.settings = settings
    app.state.gate = Gate(settings)
    app.state.streams = Streams(settings.streams_per_key)
    app.state.metrics = Metrics()
    app.add_middleware(Audited)
    refusals = problems(*GUARD_PROBLEMS)
    guarded = [
        jobs.router,
        listing.router,
        metrics.router,
        events.router,
        logs.router,
        artifacts.router,
        catalogue.router,
        webhooks.router,
    ]
    # whoever has no key yet, and who only asks whether we are there
    free = [sessions.router, health.router]
    for router in guarded:
        app.include_router(router, dependencies=[Depends(guard)], responses=refusals)
    scraped = [] if settings.metrics_open else [Depends(guard_for_scrapes)]
    app.include_router(monitoring.router, dependencies=scraped, responses=refusals if scraped else {})
    for router in (workers.router, audit.router):
        app.include_router(router, dependencies=[Depends(guard_for_admins)], responses=refusals)
    for router in free:
        app.include_router(router)
    describe(app, catalogue.LISTS)
    stand_behind(app, settings)
    observe(app, app.state.metrics.http, access_log=settings.access_log)
    return app


def _telemetry(*, on: bool) -> TelemetryConfig:
    """No logs: they hold messages and tracebacks out of which no secret was struck."""
    return {"tracing": on, "metrics": on, "logs": False, "auto_configure": on}
