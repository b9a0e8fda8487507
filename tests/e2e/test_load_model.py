"""What a job has trained, fetched as a module by either client: it answers as the job says."""

import pytest
import torch
from sklearn import datasets

from lowland import Client
from lowland.errors import JobNotFound, NoWeights
from lowland.spec.resource import Job
from tests.client.awaiting import awaiting
from tests.e2e.training import ENDLESS, SMALL, finished
from tests.stack.house import House


@pytest.fixture(scope="module")
def job(running: House) -> Job:
    with Client(running.url) as client:
        return finished(client, client.submit(SMALL))


@pytest.mark.parametrize("opening", [Client, awaiting], ids=["blocking", "asyncio"])
def test_a_trained_model_is_loaded_by_its_job(running: House, job: Job, opening: type[Client]) -> None:
    with opening(running.url) as client:
        model = client.load_model(job.id)

    pixels, digits = datasets.load_digits(return_X_y=True)
    with torch.no_grad():
        right = model(torch.tensor(pixels).reshape(-1, 1, 8, 8) / 16).argmax(1) == torch.tensor(digits)
    assert (model.input_shape, model.classes) == ((1, 8, 8), tuple("0123456789"))
    assert job.test_accuracy == pytest.approx(right.float().mean().item(), abs=0.05)  # of all digits, not the test part


def test_what_has_no_model_says_so(running: House, client: Client) -> None:
    function = finished(client, client.submit({"function": "x**2", "start": [1.0], "steps": 5}))
    unfinished = client.submit(ENDLESS)

    with pytest.raises(NoWeights, match=r"model\.safetensors"):
        client.load_model(unfinished)
    client.cancel(unfinished)
    with pytest.raises(NoWeights, match="minimises a function"):
        client.load_model(function)
    with pytest.raises(JobNotFound):
        client.load_model("nothing")
