"""A job's curves, in columns."""

import json

import pytest

from lowland import Client
from lowland.client import Curves
from tests.api.conftest import Worker


@pytest.fixture
def curves(client: Client, worker: Worker) -> Curves:
    """Two series, one of which is measured at every other point."""
    job = client.submit({"dataset": "digits"})
    lease = worker.claim()
    for epoch in range(1, 5):
        point = {"step": 10 * epoch, "epoch": epoch, "train_loss": 1 / epoch}
        rare = {} if epoch % 2 else {"validation_accuracy": epoch / 8}
        worker.report(lease, epoch, point=json.dumps(point | rare))
    return client.metrics(job)


def test_curves_are_lists_of_one_length(curves: Curves) -> None:
    assert (len(curves), curves.steps, curves.epochs) == (4, [10, 20, 30, 40], [1, 2, 3, 4])
    assert len(curves.at) == 4
    assert curves["train_loss"] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert curves["validation_accuracy"] == [None, 0.25, None, 0.5]


def test_a_frame_has_a_column_for_each_series(curves: Curves) -> None:
    frame = curves.to_pandas()

    assert list(frame.columns) == ["step", "epoch", "at", "train_loss", "validation_accuracy"]
    assert frame["step"].tolist() == [10, 20, 30, 40]
    assert frame["epoch"].tolist() == [1, 2, 3, 4]
    assert frame["validation_accuracy"].isna().tolist() == [True, False, True, False]
    assert frame["validation_accuracy"].dropna().tolist() == [0.25, 0.5]
    assert str(frame["at"].dtype).startswith("datetime64")


def test_curves_are_chosen_thinned_and_gone_on_with(client: Client, worker: Worker) -> None:
    job = client.submit({"dataset": "digits"})
    lease = worker.claim()

    def report(epochs: range) -> None:
        for epoch in epochs:
            point = {"step": epoch, "epoch": epoch, "train_loss": 0.5, "learning_rate": 0.1}
            worker.report(lease, epoch, point=json.dumps(point))

    report(range(1, 11))
    early = client.metrics(job, names=["train_loss"], max_points=2)
    report(range(11, 13))
    late = client.metrics(job, since=early.last)

    assert (early.steps, [*early.values]) == ([1, 10], ["train_loss"])
    assert (late.steps, {*late.values}) == ([11, 12], {"train_loss", "learning_rate"})
    assert len(client.metrics(job, since=late.last)) == 0


def test_a_job_without_points_has_an_empty_frame(client: Client) -> None:
    frame = client.metrics(client.submit({"dataset": "digits"})).to_pandas()

    assert (list(frame.columns), len(frame)) == (["step", "epoch", "at"], 0)
