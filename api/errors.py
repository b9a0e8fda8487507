"""What can go wrong between a request and the ledger.

ApiError
  ├ NothingHere              no route has this path
  ├ MethodNotAllowed         the path has routes, but none for this method
  ├ KeyMissing               the request shows no API key, and needs one
  ├ KeyRefused               the API key or the session is not known, or not any more
  ├ ScopeMissing             the API key is not good for this
  ├ CrossSiteRefused         another site's page may have had a browser send this
  ├ RateLimited              the API key has been used too often
  ├ TooManyStreams           the API key follows as many jobs at once as it may
  ├ ParametersInvalid        a query parameter or a header is wrong, with one `FieldError` per mistake
  ├ BodyMalformed            the body is not a JSON document we read
  ├ BodyTooLarge             the body is longer than the server reads
  ├ ContentTypeUnsupported   the body is declared as something else than JSON
  ├ ArtifactNotFound         the job has no artifact of this name
  ├ ArtifactLost             the ledger names the artifact, but the store does not hold its file
  ├ HistoryLost              the job is finished, but the store does not hold its record
  ├ LogMissing               the job has had no such attempt, or its log is not in the artifact store
  └ RangeUnsatisfiable       the Range header asks for bytes that are not there
"""

from collections.abc import Collection, Sequence
from typing import Literal

from lowland.errors import FieldError, LowlandError
from lowland.spec.access import Scope


class ApiError(LowlandError):
    """The root of the API's errors."""


class NothingHere(ApiError):
    """No route has this path."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"there is nothing at {path}; /docs lists what there is")


class MethodNotAllowed(ApiError):
    """The path has routes, but none for this method."""

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        self.method = method
        self.path = path
        self.allowed = tuple(allowed)
        super().__init__(f"{method} is not possible on {path}; use {' or '.join(allowed)}")


class KeyMissing(ApiError):
    """The request shows no API key, and needs one."""

    def __init__(self) -> None:
        super().__init__("this server wants an API key; send the header `Authorization: Bearer KEY`")


class KeyRefused(ApiError):
    """The API key or the session is not known, or not any more."""

    def __init__(self, what: Literal["API key", "session"], problem: str) -> None:
        super().__init__(f"the {what} {problem}; whoever runs this server makes keys with `lowland keys create`")


class ScopeMissing(ApiError):
    """The API key is not good for this."""

    def __init__(self, needed: Scope, scopes: Collection[Scope]) -> None:
        self.needed = needed
        super().__init__(f"this needs a key with the scope {needed}; yours has {', '.join(sorted(scopes))}")


class CrossSiteRefused(ApiError):
    """Another site's page may have had a browser send this."""

    def __init__(self, problem: str, instead: str) -> None:
        super().__init__(f"{problem}; {instead}")


class RateLimited(ApiError):
    """The API key has been used too often."""

    def __init__(self, rate: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"this key is good for {rate} requests; ask again in {retry_after_s} s")


class TooManyStreams(ApiError):
    """The API key follows as many jobs at once as it may."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"{most} connections follow jobs already, as many as a key or address may have; end one first")


class ParametersInvalid(ApiError):
    """A query parameter or a header is wrong; `errors` says which."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(error.detail for error in self.errors))


class BodyMalformed(ApiError):
    """The body is not a JSON document we read; the message says where it breaks."""


class BodyTooLarge(ApiError):
    """The body is longer than the server reads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"the body is longer than {max_bytes} bytes, the most this server reads")


class ContentTypeUnsupported(ApiError):
    """The body is declared as something else than JSON."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        is_what = f"is {content_type}" if content_type else "is missing"
        super().__init__(f"Content-Type {is_what}; send application/json, in UTF-8")


class ArtifactNotFound(ApiError):
    """The job has no artifact of this name."""

    def __init__(self, job_id: str, name: str) -> None:
        self.job_id = job_id
        self.name = name
        super().__init__(f"job {job_id} has no artifact {name}; its `artifacts` lists what it has")


class ArtifactLost(ApiError):
    """The ledger names the artifact, but the store does not hold its file as it was recorded."""

    def __init__(self, job_id: str, name: str) -> None:
        self.job_id = job_id
        self.name = name
        super().__init__(
            f"{name} of job {job_id} was recorded, but its file is not in this server's artifact store; "
            "check that LOWLAND_ARTIFACT_DIR is the workers' folder"
        )


class HistoryLost(ApiError):
    """The job is finished, but the store does not hold its record, or it cannot be read."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"the record of job {job_id} is not in this server's artifact store, or cannot be read; check that "
            "LOWLAND_ARTIFACT_DIR is the keeper's folder"
        )


class LogMissing(ApiError):
    """The job has had no such attempt, or its log is not in the artifact store."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} has no such log: {problem}; its `attempts` lists those it has had, and LOWLAND_ARTIFACT_DIR "
            "is to be the workers' folder"
        )


class RangeUnsatisfiable(ApiError):
    """The Range header asks for bytes that are not there, or cannot be read."""

    def __init__(self, wanted: str, size_bytes: int) -> None:
        self.wanted = wanted
        self.size_bytes = size_bytes
        super().__init__(f"Range is {wanted}; give bytes=FIRST-LAST within the file's {size_bytes} bytes")
