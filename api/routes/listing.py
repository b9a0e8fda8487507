"""Many jobs: which there are, by what they are, and an end to all that fit."""

import re
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from api.bodies import refuse_body
from api.deps import ID_PATTERN, LedgerDep, SeesDep, refuse_repeated_parameters_but
from api.errors import ParametersInvalid
from api.parameters import Parameters
from api.problems import header, problems
from ledger import LedgerUnavailable, Wanted, reads, transitions
from ledger.transitions import Place
from lowland.errors import FieldError
from lowland.spec import JobSpec, Status
from lowland.spec.base import LABEL, Unfit
from lowland.spec.resource import Cancelled, JobPage
from lowland.spec.show import nearest, one_of, shown
from lowland.spec.unions import tagged_union

router = APIRouter(tags=["jobs"])

#: Jobs that one request cancels at most: Redis does nothing else meanwhile.
MOST_CANCELLED: Final = 200
#: Tags that one request may look for.
_MOST_TAGS: Final = 8
_CURSOR: Final = re.compile(rf"(queued|running|paused)(?:\.({ID_PATTERN.pattern}))?")
#: What may be given more than once.
_REPEATED: Final = Depends(refuse_repeated_parameters_but("tag"))

_Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=LABEL)]
_TagText = Annotated[str, StringConstraints(min_length=1, max_length=401, pattern=LABEL)]


class _Filters(Parameters):
    """Which jobs: those that fit every filter that is given."""

    status: Status | None = None
    """In this state."""
    dataset: _Text | None = None
    """On this dataset."""
    variant: _Text | None = None
    """With this variant, as a job names it in `sam`."""
    model: _Text | None = None
    """Of this model, as a job names it, such as `cnn` or `torchvision/resnet50`."""
    name: _Text | None = None
    """Whose name begins so; case matters."""
    tag: list[_TagText] = Field(default=[], max_length=_MOST_TAGS)
    """With this tag, `team`, whatever its value, or `team:vision`; give it again for jobs that have all of them."""
    owner: _Text | None = None
    """Of this owner."""

    @field_validator("dataset")
    @classmethod
    def _is_a_dataset(cls, name: str | None) -> str | None:
        return name and _known("dataset", name)

    @field_validator("variant")
    @classmethod
    def _is_a_variant(cls, name: str | None) -> str | None:
        return name and _known("sam", name)

    def wanted(self, sees: str) -> Wanted:
        """For the ledger.

        Args:
            sees: whose jobs alone the caller may see; empty for everybody's.
        """
        if sees and self.owner not in {None, sees}:
            detail = f"owner is {shown(self.owner)}; without the scope admin you see your own jobs alone: leave it out"
            raise ParametersInvalid([FieldError(field="owner", value=self.owner, detail=detail)])
        return Wanted(
            status=self.status,
            owner=sees or self.owner,
            dataset=self.dataset,
            variant=self.variant,
            model=self.model,
            name=self.name,
            tags=tuple(dict.fromkeys(self.tag)),
        )


def _known(field: str, given: str) -> str:
    """The name that is stored of what is named in this field of a job."""
    union = tagged_union(JobSpec.model_fields[field])
    if union is None:
        raise TypeError(f"{field} is no tagged union")
    expanded = union.expand(given)
    name = str(expanded.get(union.tag)) if isinstance(expanded, dict) else given
    if name not in union.members:
        near = nearest(name, union.members)
        hint = f" (did you mean {shown(near)}?)" if near else ""
        raise ValueError(f"{shown(given)} is not known{hint}; give {one_of(list(union.members))}")
    return name


class Listing(_Filters):
    """Which jobs to list."""

    limit: int = Field(default=50, ge=1, le=200)
    """Jobs a page."""
    cursor: str | None = None
    """The `next` of the page before."""

    @field_validator("cursor")
    @classmethod
    def _is_an_id(cls, cursor: str | None) -> str | None:
        if cursor is not None and not ID_PATTERN.fullmatch(cursor):
            raise Unfit("the `next` of the page before")
        return cursor

    def link_to(self, cursor: str) -> str:
        """The Link header for the page that starts at the cursor."""
        following = self.model_copy(update={"cursor": cursor}).model_dump(mode="json", exclude_none=True)
        return f'</jobs?{urlencode(following, doseq=True)}>; rel="next"'


class Cancelling(_Filters):
    """Which jobs to cancel."""

    all: bool = Field(default=False, validate_default=True)
    """Every job; without any filter this must be said."""
    cursor: str | None = None
    """The `next` of the answer before."""

    @field_validator("cursor")
    @classmethod
    def _is_a_place(cls, cursor: str | None) -> str | None:
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise Unfit("the `next` of the answer before")
        return cursor

    @field_validator("all")
    @classmethod
    def _says_which(cls, every: bool, info: ValidationInfo) -> bool:
        is_wrong = _Filters.model_fields.keys() - info.data.keys()  # which is told of that filter
        if not is_wrong and every == any(info.data[name] for name in _Filters.model_fields):
            raise ValueError("give filters, or all=true alone to cancel every job")
        return every

    @property
    def start(self) -> Place | None:
        """Where to go on."""
        status, _, after = (self.cursor or "").partition(".")
        return Place(status, after) if status else None


@router.get(
    "/jobs",
    dependencies=[_REPEATED],
    responses={
        200: {"headers": {"Link": header("string", 'The next page, as rel="next"; absent on the last.')}},
        **problems(ParametersInvalid, LedgerUnavailable),
    },
)
async def list_jobs(
    listing: Annotated[Listing, Query()], ledger: LedgerDep, sees: SeesDep, response: Response
) -> JobPage:
    """List your jobs, or as an admin everybody's, newest first, page by page.

    A page looks at no more than some 1,000 jobs. Where filters are combined, or `model` or `name` is one, it may have
    fewer jobs than asked for, or none, and yet a `next`.
    """
    page = await ledger.run(reads.list_jobs(limit=listing.limit, cursor=listing.cursor, wanted=listing.wanted(sees)))
    if page.next is not None:
        response.headers["Link"] = listing.link_to(page.next)
    return page


@router.post(
    "/jobs/cancel",
    dependencies=[_REPEATED, Depends(refuse_body)],
    responses=problems(ParametersInvalid, LedgerUnavailable),
)
async def cancel_jobs(wanted: Annotated[Cancelling, Query()], ledger: LedgerDep, sees: SeesDep) -> Cancelled:
    """Cancel every job that fits the filters and has not ended, 200 a request: ask again with `next` for the others.

    Jobs that have ended are left as they are, so that asking again changes nothing.
    """
    done = await ledger.run(transitions.cancel_all(wanted.wanted(sees), most=MOST_CANCELLED, start=wanted.start))
    following = done.next and ".".join(part for part in (done.next.status, done.next.after) if part)
    return Cancelled(cancelled=done.cancelled, requested=done.requested, next=following)
