"""A client that another project's generator makes from the OpenAPI document drives a job to its end."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.e2e.training import PATIENCE_S
from tests.stack.house import House

#: Whoever writes against a generated client writes such a thing: typed bodies, typed answers, typed refusals.
SCRIPT = """
import sys, time
from lowland_client import Client, models
from lowland_client.api.catalogue import list_variants
from lowland_client.api.jobs import get_job, submit_job

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
spec = models.JobSpecInput(
    dataset=models.DigitsInput(limit=500), model=models.MlpInput(width=32), sam=models.FriendlyInput(rho=0.1), epochs=10
)
job = submit_job.sync(client=client, body=spec)
assert isinstance(job, models.Job), job
while not job.terminal:
    time.sleep(0.1)
    job = get_job.sync(job.id, client=client)
assert isinstance(job.spec.sam, models.Friendly) and job.spec.sam.rho == 0.1, job.spec
assert "friendly" in {entry.name for entry in list_variants.sync(client=client).variants}
refused = submit_job.sync(client=client, body=models.JobSpecInput.from_dict({"dataset": "digits", "epochs": 0}))
assert isinstance(refused, models.Problem), refused
print(job.status, job.test_accuracy, refused.detail)
"""


@pytest.fixture(scope="module")
def generated(running: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `lowland_client`, generated without a warning."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(httpx2.get(f"{running.url}/openapi.json", trust_env=False).content)
    here = Path(sys.executable).parent
    command = [here / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "lowland_client"]
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}  # it formats with ruff

    made = subprocess.run(
        [*command, "--meta", "none", "--fail-on-warning"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def test_a_generated_client_drives_a_job_to_its_end(running: House, generated: Path) -> None:
    driven = subprocess.run(
        [sys.executable, "-c", SCRIPT, running.url],
        cwd=generated,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    status, accuracy, *refusal = driven.stdout.split()
    assert (status, " ".join(refusal)) == ("succeeded", "epochs is 0; give a number >= 1"), driven.stderr
    assert 0.3 < float(accuracy) <= 1
