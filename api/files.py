"""Sending a file of the artifact store."""

from pathlib import Path
from stat import S_ISREG

import anyio
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from api.errors import ArtifactLost, ArtifactNotFound, RangeUnsatisfiable
from ledger.documents import StoredArtifact
from ledger.store import run_folder


class ArtifactResponse(FileResponse):
    """A file, whole or in ranges. What starlette refuses in plain text is refused as a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def send_unless_refused(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                wanted = dict(scope["headers"])[b"range"].decode("latin-1")
                raise RangeUnsatisfiable(wanted, int(self.headers["content-length"]))
            await send(message)

        await super().__call__(scope, receive, send_unless_refused)


async def artifact_response(root: Path, job_id: str, name: str, stored: StoredArtifact | None) -> ArtifactResponse:
    """The file of an artifact, if the store holds it as the ledger recorded it.

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
    return ArtifactResponse(
        path,
        headers={"ETag": f'"{stored.sha256}"', "X-Content-Type-Options": "nosniff"},
        media_type=stored.media_type,
        filename=stored.name,
        stat_result=found,
    )
