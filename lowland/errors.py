"""What can go wrong for someone who uses Lowland.

LowlandError
  ├ SpecInvalid           the job spec is wrong, with one `FieldError` per mistake
  ├ RequestFailed         the server refused what was asked
  │   ├ JobNotFound       there is no such job
  │   ├ ArtifactNotFound  the job has no such file
  │   ├ EventRefused      the job's state does not allow it
  │   ├ KeyRefused        the server wants an API key, or another one
  │   ├ NotAllowed        the API key is not good for this
  │   └ LimitReached      too many requests, unfinished jobs, or connections that follow
  ├ ServerUnavailable     the server cannot be reached, or cannot work at the moment
  ├ AnswerUnreadable      what answered does not speak as a Lowland server does
  ├ WaitTimedOut          the job did not end in the time that was given
  ├ DownloadCorrupt       what arrived is not the file that the job recorded
  ├ NoWeights             the job has no weights to be loaded
  ├ WeightsUnusable       the file of weights cannot be made a network of
  └ TorchMissing          what is asked for needs torch, or torchvision
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One mistake in what was sent."""

    field: str
    """Path to the field, with dots: `sam.rho`. Empty for the whole body."""
    value: object
    """What stood there, as JSON values; long ones are cut and secrets hidden."""
    detail: str
    """One sentence that names the field, the value and what would be accepted."""


class LowlandError(Exception):
    """The root of every error Lowland raises."""

    idempotency_key: str | None = None
    """Of the submit that failed, else None: the same spec submitted again under it makes one job, whatever became of
    the first request.
    """


class SpecInvalid(LowlandError):
    """The job spec is wrong; `errors` says where."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(error.detail for error in self.errors))


class RequestFailed(LowlandError):
    """The server refused what was asked; the message is its problem document's detail."""

    def __init__(self, *, status: int, slug: str, detail: str) -> None:
        self.status = status
        """Of HTTP."""
        self.slug = slug
        """The kind of problem, such as "body-too-large"; empty where the server names none."""
        self.detail = detail
        super().__init__(detail)


class JobNotFound(RequestFailed):
    """There is no such job."""


class ArtifactNotFound(RequestFailed):
    """The job has no file of this name, or its file is gone."""


class EventRefused(RequestFailed):
    """The job's state does not allow what was asked."""


class KeyRefused(RequestFailed):
    """The server wants an API key, or does not know the one that was given."""


class NotAllowed(RequestFailed):
    """The API key is not good for what was asked; the message names the scope that is needed."""


class LimitReached(RequestFailed):
    """The API key has been used too often or follows as many jobs as it may, or its owner has as many unfinished ones;
    `slug` says which.
    """

    def __init__(self, *, slug: str, detail: str, retry_after_s: float | None) -> None:
        self.retry_after_s = retry_after_s
        """When the server says to ask again, in seconds; None where it does not."""
        super().__init__(status=429, slug=slug, detail=detail)


class ServerUnavailable(LowlandError):
    """The server cannot be reached, or cannot work at the moment. Asking again later may help."""

    def __init__(self, url: str, reason: str, *, retry_after_s: float | None = None) -> None:
        self.url = url
        self.reason = reason
        self.retry_after_s = retry_after_s
        """When it says to ask again, in seconds; None where it does not, or did not answer."""
        super().__init__(f"the Lowland server at {url} is not available: {reason}")


class AnswerUnreadable(LowlandError):
    """What answered does not speak as a Lowland server does."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url} does not answer as a Lowland server does: {reason}")


class WaitTimedOut(LowlandError):
    """The job did not end in the time that was given; it goes on."""

    def __init__(self, job_id: str, status: str, timeout_s: float) -> None:
        self.job_id = job_id
        self.status = status
        self.timeout_s = timeout_s
        super().__init__(f"job {job_id} is still {status} after {timeout_s:g} s")


class DownloadCorrupt(LowlandError):
    """What arrived is not the file that the job recorded; nothing was kept."""

    def __init__(self, name: str, expected: str, received: str) -> None:
        self.name = name
        self.expected = expected
        self.received = received
        super().__init__(f"{name} arrived with sha256 {received}; the job recorded {expected}")


class NoWeights(LowlandError):
    """The job has no weights to be loaded."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id} has no weights: {reason}")


class WeightsUnusable(LowlandError):
    """The file of weights cannot be made a network of."""

    def __init__(self, path: str | Path, problem: str) -> None:
        self.path = Path(path)
        self.problem = problem
        super().__init__(
            f"{path} cannot be loaded: {problem}; take the model.safetensors of a job that a Lowland server of this "
            "version has trained"
        )


class TorchMissing(LowlandError):
    """What is asked for needs torch, or torchvision for one of its models."""

    def __init__(self, module: str | None) -> None:
        self.module = module
        extra = "torchvision" if module is not None and module.startswith("torchvision") else "torch"
        super().__init__(f"no module {module} is installed here; get it by pip install 'lowland[{extra}]'")
