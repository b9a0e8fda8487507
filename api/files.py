"""Sending a file of the artifact store."""

from base64 import b64encode
from pathlib import Path
from stat import S_ISREG

import anyio
from fastapi import Response
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from api.errors import ArtifactLost, ArtifactNotFound, RangeUnsatisfiable
from api.views import is_named
from ledger.documents import StoredArtifact
from ledger.store import run_folder


class ArtifactResponse(FileResponse):
    """A file, whole or in ranges. What starlette refuses in plain text is refused as a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        # of a HEAD, and in other units, a range is as good as none (RFC 9110, 14.2)
        if scope["method"] == "HEAD" or not dict(scope["headers"]).get(b"range", b"").lower().startswith(b"bytes"):
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}

        async def send_unless_refused(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                wanted = dict(scope["headers"])[b"range"].decode("latin-1")
                raise RangeUnsatisfiable(wanted, int(self.headers["content-length"]))
            await send(message)

        await super().__call__(scope, receive, send_unless_refused)


async def artifact_response(
    root: Path, job_id: str, name: str, stored: StoredArtifact | None, *, if_none_match: str | None
) -> Response:
    """The file of an artifact, if the store holds it as the ledger recorded it; 304 where the caller has it.

    Args:
        root: of the artifact store.
        job_id: whose it is.
        name: of the artifact.
        stored: what the ledger has of it, if anything.
        if_none_match: the header, if there is one.

    Raises:
        ArtifactNotFound: the job has none of this name.
        ArtifactLost: the file is not there, or of another size.
    """
    if stored is None:
        raise ArtifactNotFound(job_id, name)
    path = run_folder(root, job_id, stored.token) / stored.name
    try:
        found = await anyio.Path(path).stat()
    except OSError as error:
        raise ArtifactLost(job_id, name) from error
    if not S_ISREG(found.st_mode) or found.st_size != stored.size_bytes:
        raise ArtifactLost(job_id, name)
    etag = f'"{stored.sha256}"'
    headers = {"ETag": etag, "Repr-Digest": _repr_digest(stored.sha256), "X-Content-Type-Options": "nosniff"}
    if if_none_match is not None and is_named(etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return ArtifactResponse(
        path, headers=headers, media_type=stored.media_type, filename=stored.name, stat_result=found
    )


def _repr_digest(sha256: str) -> str:
    """Of the whole file, also beside a part of it (RFC 9530)."""
    return f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"
