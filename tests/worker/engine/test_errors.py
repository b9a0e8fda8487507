"""Every way to give up becomes a report that fits its line and says whether trying again may help."""

import pytest
import torch

from lowland.spec.reports import MAX_LINE_BYTES, Broken, write_report
from worker.engine.errors import EngineError, LossNotFinite, broken


def test_a_named_error_keeps_its_words() -> None:
    report = broken(LossNotFinite(what="the loss", step=7, lr=0.25, checkpoint="checkpoint-00001-000000005.pt"))

    assert report == Broken(
        type="loss-not-finite",
        title="The loss is no longer finite",
        detail="the loss is NaN or infinite at step 7, where the learning rate is 0.25; "
        "the last good checkpoint is checkpoint-00001-000000005.pt. Lower optimizer.lr or sam.rho, or set clip_norm.",
        permanent=True,
    )


def test_any_other_error_is_reported_by_its_class_and_may_be_tried_again() -> None:
    report = broken(KeyError("lost\nkey"))

    assert (report.type, report.permanent) == ("engine-error", False)
    assert report.detail == "KeyError: 'lost\\nkey'"


def test_memory_that_torch_cannot_get_is_named_and_may_be_there_later() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)

    report = broken(caught.value)

    assert (report.type, report.permanent) == ("out-of-memory", False)
    assert report.detail.endswith(
        "Lower batch_size (and raise accumulate as much, for the same steps), or take a smaller model."
    )


def test_the_longest_detail_fits_a_line() -> None:
    """Worst case: every character is escaped in JSON."""
    report = broken(RuntimeError("\x01" * 1_000_000))

    assert len(write_report(report)) <= MAX_LINE_BYTES


@pytest.mark.parametrize("error", EngineError.__subclasses__(), ids=lambda error: error.__name__)
def test_every_error_has_a_stable_word_and_a_title(error: type[EngineError]) -> None:
    assert error.type == error.type.lower().replace(" ", "-")
    assert error.title
    assert len({other.type for other in EngineError.__subclasses__()}) == len(EngineError.__subclasses__())


def test_a_batch_that_a_batch_norm_can_make_nothing_of_is_told_as_such() -> None:
    layer = torch.nn.BatchNorm2d(3)
    with pytest.raises(ValueError, match="more than 1 value") as caught:
        layer(torch.zeros(1, 3, 1, 1))

    report = broken(caught.value)

    assert (report.type, report.permanent) == ("batch-too-small", True)
    assert "Raise batch_size" in report.detail
