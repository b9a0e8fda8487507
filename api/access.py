"""Who asks, and what it may: every route but those that say nothing about anybody's work goes through `guard`.

A caller shows an API key (`Authorization: Bearer`), or, from a browser, the cookie of a session that was opened with
one: EventSource and images cannot send a header. Where there is no key and never was, everybody is `anonymous` and may
do everything.

What shows no key may come from another site's page: see `api/cross_site.py`.
"""

import hmac
import time
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from api.cross_site import READING, refuse_other_sites
from api.errors import CrossSiteRefused, KeyMissing, KeyRefused, RateLimited, ScopeMissing
from api.limiting import Rates
from api.settings import ApiSettings
from ledger import AsyncLedger, LedgerUnavailable, access
from ledger.access import AccessKey, Recognition, digest_of
from lowland.spec.access import Scope

#: Whose every job is, where there are no keys.
ANONYMOUS: Final = "anonymous"
SESSION_COOKIE: Final = "lowland_session"
#: How long what the ledger said of a key is believed: a revoked one works so much longer, in seconds.
BELIEVED_S: Final = 5.0
#: How many keys and sessions are remembered at most, wrong ones among them.
_REMEMBERED: Final = 10_000
#: What a route behind `guard` may answer beside what it declares itself.
GUARD_PROBLEMS: Final = (KeyMissing, KeyRefused, ScopeMissing, CrossSiteRefused, RateLimited, LedgerUnavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks."""

    owner: str
    scopes: frozenset[Scope]
    key_id: str = ""
    """Empty where there are no keys."""
    quota: int | None = None
    """Unfinished jobs it may have; None means any number."""
    rate_limit: str | None = None
    by_session: bool = False
    """Whether a cookie was shown, which a browser sends by itself."""

    @property
    def sees(self) -> str:
        """Whose jobs it may see and touch; empty for everybody's."""
        return "" if Scope.ADMIN in self.scopes else self.owner


_NOBODY: Final = Caller(owner="", scopes=frozenset())


class Gate:
    """Knows callers by what they show."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings: Final = settings
        self._configured: Final = settings.configured_keys()
        self._believed: Final[dict[tuple[str, str], tuple[float, Recognition]]] = {}

    async def recognize(self, ledger: AsyncLedger, *, key: str | None, session: str | None) -> Caller:
        """Who shows this key, or else this session's secret.

        Raises:
            KeyMissing: neither is shown, and one is needed.
            KeyRefused: what is shown is not good, or not any more.
        """
        if key is not None and (known := self.configured(digest_of(key))):
            return self._caller(known, by_session=False)
        found = await self._look_up(ledger, key, session)
        # a session may have been opened with a key that the ledger does not have
        known = found.key or (self.configured(found.digest) if key is None else None)
        if known is not None:
            return self._caller(known, by_session=key is None)
        if found.outcome == "open" and not self._configured and not self._settings.require_api_key:
            return Caller(owner=ANONYMOUS, scopes=frozenset(Scope), quota=self._settings.quota_jobs)
        if key is None and session is None:
            raise KeyMissing
        what = "API key" if key is not None else "session"
        raise KeyRefused(what, "has expired" if found.outcome == "expired" else "is not known, or not any more")

    def configured(self, digest: str) -> AccessKey | None:
        """The key from the environment with this digest; all are compared, whichever it is."""
        same = [key for known, key in self._configured.items() if hmac.compare_digest(known, digest)]
        return same[0] if same else None

    def forget(self, session: str) -> None:
        """Believe nothing any more about a session that was closed."""
        self._believed.pop(("", digest_of(session)), None)

    async def _look_up(self, ledger: AsyncLedger, key: str | None, session: str | None) -> Recognition:
        shown = (digest_of(key), "") if key is not None else ("", digest_of(session) if session else "")
        until, found = self._believed.get(shown, (0.0, None))
        if found is None or until < time.monotonic():
            found = await ledger.run(access.recognize(key=shown[0], session=shown[1]))
            self._believed.pop(shown, None)
            if len(self._believed) >= _REMEMBERED:
                del self._believed[next(iter(self._believed))]  # the oldest
            self._believed[shown] = (time.monotonic() + BELIEVED_S, found)
        return found

    def _caller(self, key: AccessKey, *, by_session: bool) -> Caller:
        default = None if Scope.ADMIN in key.scopes else self._settings.quota_jobs
        return Caller(
            owner=key.owner,
            scopes=key.scopes,
            key_id=key.id,
            quota=default if key.quota is None else key.quota,
            rate_limit=key.rate_limit or self._settings.rate_limit,
            by_session=by_session,
        )


async def admit(request: Request, *, key: str | None, session: str | None) -> Caller:
    """Who shows this key or this session, where no other site's page does, and it has not asked too often."""
    gate: Gate = request.app.state.gate
    rates: Rates = request.app.state.rates
    caller = await gate.recognize(request.app.state.ledger, key=key, session=session)
    if caller.by_session or not caller.key_id:
        refuse_other_sites(request, session=session if caller.by_session else None)
    if caller.key_id and caller.rate_limit:
        await rates.count(caller.key_id, caller.rate_limit)
    request.state.shown = {"key": key, "session": session}
    request.state.caller = caller  # for the route; these for the audit too, which what was refused so far is not in
    request.state.action = request.scope["route"].name
    request.state.subject = next(iter(request.path_params.values()), "")
    return caller


class Authenticated(HTTPBearer):
    """A dependency: who asks, by its key or else its session.

    One for all of it, and all of FastAPI's own kind: what a dependency depends on is solved anew for each route that
    asks for it. The document says of HTTPBearer that the cookie does too (`api/openapi.py`).
    """

    def __init__(self) -> None:
        super().__init__(scheme_name=HTTPBearer.__name__, auto_error=False)

    async def __call__(self, request: Request) -> Caller:  # pyright: ignore[reportIncompatibleMethodOverride]  a value of our own
        shown = await super().__call__(request)
        session = request.cookies.get(SESSION_COOKIE) or None
        return await admit(request, key=shown.credentials if shown else None, session=session)


async def is_still_let_in(request: Request) -> bool:
    """Whether what was shown with a request is good by now. Where the ledger is away it counts as good."""
    gate: Gate = request.app.state.gate
    try:
        await gate.recognize(request.app.state.ledger, **request.state.shown)
    except (KeyMissing, KeyRefused):
        return False
    except LedgerUnavailable:
        return True
    return True


class Guard(Authenticated):
    """Lets in whoever may.

    Args:
        demanded: the scope it takes; None takes `read` to read, and `submit` for whatever changes something.
    """

    def __init__(self, demanded: Scope | None = None) -> None:
        super().__init__()
        self._demanded: Final = demanded

    async def __call__(self, request: Request) -> Caller:
        caller = await super().__call__(request)
        _demand(self._demanded or (Scope.READ if request.method in READING else Scope.SUBMIT), caller)
        return caller


class ScrapeGuard(Guard):
    """Lets in whoever may read, and while the ledger cannot say who that is anybody, to see that it is away.

    Sets `request.state.ledger_is_away` then: nothing that is the ledger's is to be shown.
    """

    async def __call__(self, request: Request) -> Caller:
        request.state.ledger_is_away = False
        try:
            return await super().__call__(request)
        except LedgerUnavailable:
            request.state.ledger_is_away = True
            return _NOBODY


guard: Final = Guard()
guard_for_scrapes: Final = ScrapeGuard()
guard_for_admins: Final = Guard(Scope.ADMIN)
#: Who asks, with what it may, where there is no guard.
WhoDep = Annotated[Caller, Depends(Authenticated())]


def _demand(scope: Scope, caller: Caller) -> None:
    if scope not in caller.scopes and Scope.ADMIN not in caller.scopes:
        raise ScopeMissing(scope, caller.scopes)
