"""A job's way to a GPU and back, over HTTP only; `pytest --gpu`."""

import pytest
import torch

from lowland import Client
from lowland.spec import Status
from tests.e2e.training import SMALL, finished

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("wanted", ["cuda", "auto"])
def test_a_job_is_trained_on_the_workers_gpu(client: Client, wanted: str) -> None:
    job = finished(client, client.submit({**SMALL, "sam": "sam", "resources": {"device": wanted}}))

    assert job.status == Status.SUCCEEDED, job.error
    assert [attempt.device for attempt in job.attempts] == ["cuda:0"]
    assert job.accuracy is not None
    assert job.accuracy > 0.5
