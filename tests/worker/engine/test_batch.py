"""What a batch tells of its samples, and to whom."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.worker.engine.numbered import counted, forward_of, numbered_images, plain
from worker.engine.batches import Batch


def _batch(
    model: nn.Module, *, clean_targets: Tensor | None = None, weight: float = 1.0, is_counted: bool = True
) -> tuple[Batch, Tensor, Tensor]:
    inputs = torch.randn((6, 3), generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    batch = Batch(
        forward_of(model, numbered_images(), label_smoothing=0.1),
        inputs,
        targets,
        targets.clone(),
        clean_targets=clean_targets,
        weight=weight,
        is_counted=is_counted,
        is_last=True,
        optimizer=plain(model),
    )
    return batch, inputs, targets


def test_losses_are_those_of_the_samples_asked_for() -> None:
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    expected = F.cross_entropy(model(inputs), targets, reduction="none", label_smoothing=0.1)

    part = torch.tensor([4, 1])

    assert torch.equal(batch.losses(), expected)
    assert torch.allclose(batch.losses(part), expected[part])


def test_a_weight_multiplies_every_loss_and_so_the_mean() -> None:
    model = nn.Linear(3, 4)
    (plain, _, _), (heavy, _, _) = _batch(model), _batch(model, weight=1.5)

    assert torch.equal(heavy.losses(), plain.losses() * 1.5)
    assert torch.equal(heavy.losses(torch.tensor([2])), plain.losses()[[2]] * 1.5)
    assert torch.allclose(heavy.mean_loss(model), plain.losses().mean() * 1.5)


def test_the_mean_loss_of_another_model_is_noted_nowhere() -> None:
    model, other = nn.Linear(3, 4), nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)

    loss = batch.mean_loss(other)

    assert torch.allclose(loss, F.cross_entropy(other(inputs), targets, label_smoothing=0.1))
    assert counted(batch) == {}


def test_samples_are_judged_where_their_losses_were_first_asked_for() -> None:
    """The later passes of a step run at perturbed weights."""
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    right = (model(inputs).argmax(1) == targets).double().mean().item()

    batch.losses(torch.tensor([0, 1, 2]))
    batch.losses(torch.tensor([3, 4, 5]))
    _turn_around(model)
    batch.losses()

    assert counted(batch) == {"accuracy": right}


def test_samples_are_judged_once_whatever_later_passes_leave_out() -> None:
    """As ESAM asks: everything, everything again without a graph, then a part."""
    model = nn.Linear(3, 4)
    batch, inputs, targets = _batch(model)
    right = (model(inputs).argmax(1) == targets).double().mean().item()

    batch.losses()
    _turn_around(model)
    with torch.no_grad():
        batch.losses()
    batch.losses(torch.tensor([5, 0]))

    assert counted(batch) == {"accuracy": right}


@torch.no_grad()
def _turn_around(model: nn.Linear) -> None:
    model.weight.neg_()
    model.bias.neg_()


def test_a_batch_that_another_process_counts_is_not_counted_here() -> None:
    batch, _, _ = _batch(nn.Linear(3, 4), is_counted=False)

    batch.losses()

    assert counted(batch) == {}


def test_a_batch_knows_which_of_its_labels_are_wrong() -> None:
    """The model learnt nothing but the given labels: it knows the wrong ones too, and no more of the right ones."""
    model = nn.Linear(3, 4)
    given = torch.tensor([0, 1, 2, 3, 0, 1])
    clean = torch.tensor([0, 1, 2, 3, 2, 3])
    batch, inputs, _ = _batch(model, clean_targets=clean)

    batch.losses()

    answers = model(inputs).argmax(1)
    assert counted(batch) == {
        "accuracy": (answers == given).double().mean().item(),
        "clean_accuracy": (answers == clean).double().mean().item(),
        "memorised": (answers == given)[4:].double().mean().item(),
    }


def test_the_arithmetic_of_a_pass_is_the_precision_and_what_it_says_is_float32() -> None:
    seen: list[torch.dtype] = []
    model = nn.Linear(3, 4)
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    plain = forward_of(model, numbered_images())

    outputs = [replace(plain, precision=precision).outputs(torch.zeros(2, 3)) for precision in ("fp32", "bf16", "fp16")]

    assert seen == [torch.float32, torch.bfloat16, torch.float16]
    assert [said.dtype for said in outputs] == [torch.float32] * 3
