"""Batches: which samples each step takes, and their losses under the current weights."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import sam
from sam import SamOptimizer
from worker.engine.data.augment import Augmentation
from worker.engine.data.parts import Parts
from worker.engine.device import Precision, autocast
from worker.engine.randomness import generator_for, seed_of, seed_torch
from worker.engine.ranks import Ranks
from worker.engine.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """How a model is run forward, and what its outputs cost."""

    model: nn.Module
    task: Task
    precision: Precision
    label_smoothing: float
    sync_perturbation: bool
    """Whether data-parallel processes share the gradient that a perturbation is made from."""
    batch_size: int
    """Samples of a training batch on one of them."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """One forward pass, float32 [samples, K]."""
        with autocast(inputs.device, self.precision):
            return self.model(inputs).float()


class Batch:
    """A batch as the SAM optimizers want it (`sam.Batch`), which also keeps what the model said of it at first.

    Args:
        inputs: normalised, on the training device.
        targets: as the dataset has them, there.
        labels: the classes on the CPU; None in regression.
        clean_targets: the targets before label noise, where there is any.
        weight: what each loss counts; not 1 where this process has another share of the step than the others.
        is_counted: whether no other process counts the same samples.
        is_last: whether no other batch of the same step comes after it.
        optimizer: whose passes they are.
    """

    def __init__(
        self,
        forward: Forward,
        inputs: Tensor,
        targets: Tensor,
        labels: Tensor | None,
        *,
        clean_targets: Tensor | None,
        weight: float,
        is_counted: bool,
        is_last: bool,
        optimizer: SamOptimizer,
    ) -> None:
        self._forward = forward
        self._inputs = inputs
        self._targets = targets
        self._labels = labels
        self._clean_targets = clean_targets
        self._weight = weight
        self._is_counted = is_counted
        self._is_last = is_last
        self._optimizer = optimizer
        self._first: Tensor | None = None
        self._seen = torch.zeros(targets.shape, dtype=torch.bool, device=targets.device)
        self._all_seen = False

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def labels(self) -> Tensor | None:
        """The class of each sample, int64 [samples], on the CPU; None in regression."""
        return self._labels

    def losses(self, part: Tensor | None = None) -> Tensor:
        """One forward pass.

        Args:
            part: indices of the samples wanted, on any device; None is all.

        Returns:
            The loss of each sample, float32 [samples], with its graph.
        """
        inputs, targets = self._inputs, self._targets
        if part is not None:
            part = part.to(inputs.device, non_blocking=True)
            inputs, targets = inputs[part], targets[part]
        with self._sharing():
            outputs = self._forward.outputs(inputs)
        self._note(part, outputs.detach())
        losses = self._forward.task.losses(outputs, targets, label_smoothing=self._forward.label_smoothing)
        return losses if self._weight == 1 else losses * self._weight

    def mean_loss(self, model: nn.Module) -> Tensor:
        """The mean loss of the samples under a model, with its graph; nothing is noted or shared."""
        outputs = replace(self._forward, model=model).outputs(self._inputs)
        losses = self._forward.task.losses(outputs, self._targets, label_smoothing=self._forward.label_smoothing)
        return (losses * self._weight).mean()

    def count_into(self, tally: Tensor) -> None:
        """Count what the model said of the samples when their losses were first asked for.

        That is at the clean weights, except for a variant that has no pass there (MSAM).
        """
        if self._first is not None and self._is_counted:
            self._forward.task.count(tally, self._first, self._targets, self._clean_targets)

    def _note(self, part: Tensor | None, outputs: Tensor) -> None:
        if self._all_seen:
            return
        if self._first is None:
            self._first = outputs.new_zeros(len(self), outputs.shape[1])
        index = slice(None) if part is None else part
        self._first[index] = torch.where(self._seen[index, None], self._first[index], outputs)
        self._seen[index] = True
        self._all_seen = part is None

    def _sharing(self) -> AbstractContextManager[None]:
        """Keep data-parallel processes from sharing a gradient that may stay with each, or is not complete yet."""
        model = self._forward.model
        if not isinstance(model, DistributedDataParallel):
            return nullcontext()
        stays = self._optimizer.gradient_may_stay_local and not self._forward.sync_perturbation
        return model.no_sync() if stays or not self._is_last else nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one optimizer step is made on: this rank's share of one or several batches."""

    batches: tuple[Batch, ...]
    samples: int
    """On all ranks together."""

    def for_optimizer(self, first: sam.Batch | None = None) -> sam.Batch:
        """All of it, as an optimizer takes it; with another batch in the first one's place where one is given."""
        batches: list[sam.Batch] = [first or self.batches[0], *self.batches[1:]]
        return batches[0] if len(batches) == 1 else sam.Accumulated(batches)

    def count_into(self, tally: Tensor) -> None:
        """Count what the model said of this rank's samples."""
        for batch in self.batches:
            batch.count_into(tally)


class TrainingBatches:
    """The steps of every epoch, each a function of the seed and of the epoch or step alone.

    Args:
        batch_size: samples of one batch, over all ranks.
        accumulate: batches of one step; at the end of an epoch a step may have fewer.
    """

    def __init__(
        self,
        parts: Parts,
        augment: Augmentation,
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
        ranks: Ranks,
    ) -> None:
        self._parts = parts
        self._augment = augment
        self._batch_size = batch_size
        self._accumulate = accumulate
        self._seed = seed
        self._ranks = ranks

    def __len__(self) -> int:
        """Steps in an epoch; the last may have fewer samples, or one more."""
        return _pieces(len(self._parts.training), self._batch_size * self._accumulate)

    def epoch(self, epoch: int, *, skip: int, forward: Forward, optimizer: SamOptimizer) -> Iterator[Step]:
        """The steps of one epoch (from 0), without the first `skip`, to be taken one after the other."""
        order = torch.randperm(len(self._parts.training), generator=generator_for(self._seed, "order", epoch))
        if self._parts.device.type == "cuda":
            # From other memory no step could bring its indices there without waiting for the steps before.
            order = order.pin_memory()
        first = epoch * len(self)
        for position, index in enumerate(_split(order, self._batch_size * self._accumulate)):
            if position >= skip:
                yield self._step(index, first + position, forward, optimizer)

    def sample(self, count: int, step: int, *, forward: Forward) -> sam.Batch:
        """Training samples to estimate something from: as they are, without label smoothing, the same on every rank.

        Args:
            count: how many; all, where there are fewer.
            step: decides, with the seed, which; nothing that training draws is touched.
            forward: whose losses they are.
        """
        order = torch.randperm(len(self._parts.training), generator=generator_for(self._seed, "sample", step))
        index = order[: min(count, len(order))]
        inputs, targets = self._at(index)
        return sam.Minibatch(
            forward.outputs,
            self._parts.normalise(inputs),
            targets,
            partial(forward.task.losses, label_smoothing=0.0),
            labels=self._labels(index),
        )

    def _step(self, index: Tensor, step: int, forward: Forward, optimizer: SamOptimizer) -> Step:
        rank = self._ranks.rank
        generator = generator_for(self._seed, "augment", step * self._ranks.count + rank, device=self._parts.device)
        # What the model draws itself (dropout) comes from torch's own generators.
        seed_torch(seed_of(self._seed, "forward", step * self._ranks.count + rank), self._parts.device)
        pieces = _split(index, self._batch_size)
        # Every rank has to make every pass: of fewer samples than ranks each takes all.
        is_shared = [len(piece) >= self._ranks.count for piece in pieces]
        mine = [
            piece[self._ranks.share(len(piece))] if shared else piece
            for piece, shared in zip(pieces, is_shared, strict=True)
        ]
        # The mean over the ranks of the mean weighted loss of each is then the mean loss of the step's samples.
        weight = self._ranks.count * sum(map(len, mine)) / len(index)
        batches = [
            self._batch(
                piece,
                generator,
                forward,
                optimizer,
                weight=weight if shared else weight / self._ranks.count,
                is_counted=shared or self._ranks.is_first,
                is_last=number == len(mine),
            )
            for number, (piece, shared) in enumerate(zip(mine, is_shared, strict=True), 1)
        ]
        return Step(batches=tuple(batches), samples=len(index))

    def _batch(
        self,
        mine: Tensor,
        generator: torch.Generator,
        forward: Forward,
        optimizer: SamOptimizer,
        *,
        weight: float,
        is_counted: bool,
        is_last: bool,
    ) -> Batch:
        parts = self._parts
        inputs, targets = self._at(mine)
        if parts.normalise.mean_pixel is not None:
            inputs = self._augment(inputs, parts.normalise.mean_pixel, generator)
        return Batch(
            forward,
            parts.normalise(inputs),
            targets,
            self._labels(mine),
            clean_targets=None if parts.clean_targets is None else _chosen(parts.clean_targets, mine),
            weight=weight,
            is_counted=is_counted,
            is_last=is_last,
            optimizer=optimizer,
        )

    def _at(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Raw inputs and targets, on the training device, wherever the dataset lies."""
        training, device = self._parts.training, self._parts.device
        inputs = training.inputs(index.to(training.source.device, non_blocking=True))
        return inputs.to(device, non_blocking=True), _chosen(training.targets, index)

    def _labels(self, index: Tensor) -> Tensor | None:
        labels = self._parts.host_labels
        return None if labels is None else labels[index]


def _chosen(values: Tensor, index: Tensor) -> Tensor:
    return values[index.to(values.device, non_blocking=True)]


def _pieces(samples: int, size: int) -> int:
    """In how many pieces of a size, the last perhaps smaller, samples are trained on.

    A sample that is left over joins the piece before: alone, a BatchNorm could make nothing of it.
    """
    is_one_over = size > 1 and samples > size and samples % size == 1
    return math.ceil(samples / size) - is_one_over


def _split(index: Tensor, size: int) -> tuple[Tensor, ...]:
    ends = [size * number for number in range(1, _pieces(len(index), size))]
    return torch.tensor_split(index, ends)
