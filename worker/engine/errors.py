"""What can go wrong in a run that has a name of its own.

EngineError
  ├ SpecUnusable            the spec cannot be read, or asks for what the engine does not do
  ├ VariantUnsuited         the SAM variant cannot train on this data
  ├ DatasetUnavailable      the files are neither on disk nor to be had from the network
  │   └ OwnDatasetUnavailable   people's own files are not under LOWLAND_DATA_DIR
  ├ DatasetBroken           the files are there and do not hold what they should
  ├ ColumnUnknown           the table has no column of the name that the spec gives
  ├ ModelUnsuited           the model cannot take the dataset's images
  ├ WeightsUnavailable      published weights are neither on disk nor to be had (weights/published.py)
  ├ WeightsBroken           the file of published weights does not hold what it should (weights/published.py)
  ├ WarmStartUnsuited       the given weights are of another model (weights/warm_start.py)
  ├ DatasetTooSmall         nothing is left to train on
  ├ TargetsConstant         a regression's part has one value alone
  ├ OptimizerUnsuited       the base optimizer has nothing to do in this model
  ├ CheckpointUnusable      the checkpoint is of another job or another engine
  │  └ CheckpointDamaged    its bytes are not those that were written
  ├ CheckpointUnreadable    the checkpoint's file is not there, or the disk does not give it (not permanent)
  ├ LossNotFinite           the loss or a gradient became NaN or infinite
  ├ DeviceUnavailable       the machine lacks the device the spec asks for (not permanent)
  ├ OutOfMemory             the device's memory did not do (not permanent)
  │ └ MemoryTooSmall        it would not do if all of it were free (not permanent)
  ├ BatchTooSmall           a BatchNorm was given a single value of each channel
  ├ RankLost                a data-parallel process died without a word (not permanent)
  └ RankFailed              another data-parallel process gave up: its error

Each class says in `type` and `title` what the job's error will be called, and in `permanent` whether another attempt
would fail the same way. Whatever else is raised is an `engine-error`, which another attempt may survive.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import torch

from lowland.spec.reports import Broken
from lowland.spec.show import cut, nearest, shown

#: What an error is called that has no name of its own.
UNNAMED: Final = "engine-error"
#: The longest detail that is reported, in characters; a report must fit one line.
MAX_DETAIL: Final = 4000

_NEED_LESS: Final = "Lower batch_size (and raise accumulate as much, for the same steps), or take a smaller model."


class EngineError(Exception):
    """The root. Subclasses set the three fields; the message says what happened and what can be done."""

    type: ClassVar[str]
    title: ClassVar[str]
    permanent: ClassVar[bool] = True


class SpecUnusable(EngineError):
    """The spec cannot be read, or asks for what the engine does not do."""

    type = "spec-invalid"
    title = "The job spec cannot be used"


class VariantUnsuited(EngineError):
    """The SAM variant cannot train on this data."""

    type = "variant-unsuited"
    title = "The variant does not suit the data"

    def __init__(self, variant: str, *, cause: ValueError) -> None:
        self.variant = variant
        super().__init__(
            f'sam.variant is "{variant}", which cannot train on this dataset: {cause}. Give another variant, '
            "other options of it, or a dataset that suits it; dataset.imbalance makes classes rare."
        )


class ModelUnsuited(EngineError):
    """The model cannot take the dataset's images."""

    type = "model-unsuited"
    title = "The model does not suit the images"


class OptimizerUnsuited(EngineError):
    """The base optimizer has nothing to do in this model."""

    type = "optimizer-unsuited"
    title = "The optimizer does not suit the model"

    def __init__(self, optimizer: str, problem: str) -> None:
        self.optimizer = optimizer
        super().__init__(f'optimizer.name is "{optimizer}": {problem}')


class DatasetUnavailable(EngineError):
    """The dataset's files are neither on disk nor to be had from the network."""

    type = "dataset-unavailable"
    title = "The dataset cannot be had"

    def __init__(self, dataset: str, *, looked: Sequence[str], cause: BaseException) -> None:
        self.dataset = dataset
        super().__init__(
            f"{dataset} is not on disk ({'; '.join(looked)}) and downloading it failed ({_one_line(cause)}). "
            "Set LOWLAND_DATA_DIR to a folder that holds its files as torchvision unpacks them, "
            "or give this machine internet access."
        )


class DatasetBroken(EngineError):
    """The dataset's files are there and do not hold what they should."""

    type = "dataset-broken"
    title = "The dataset's files cannot be used"

    def __init__(self, dataset: str, *, folder: Path, problem: str | BaseException) -> None:
        self.dataset = dataset
        self.folder = folder
        what = problem if isinstance(problem, str) else _one_line(problem)
        super().__init__(f"{dataset} in {folder} cannot be read: {what}. Mend or replace the files.")


class ColumnUnknown(EngineError):
    """The table has no column of the name that the spec gives."""

    type = "column-unknown"
    title = "The table has no such column"

    def __init__(self, path: Path, *, field: str, name: str, known: list[str]) -> None:
        self.path = path
        self.field = field
        hint = f" (did you mean {shown(near)}?)" if (near := nearest(name, known)) else ""
        commas = " (columns of a CSV file have commas between them)" if len(known) == 1 else ""
        super().__init__(
            f"dataset.{field} names {shown(name)}{hint}; the columns of {path.name} are {cut(', '.join(known))}{commas}"
        )


class DatasetTooSmall(EngineError):
    """Nothing is left to train on."""

    type = "dataset-too-small"
    title = "Too few samples"

    def __init__(self, *, samples: int, validation_fraction: float) -> None:
        super().__init__(
            f"beside the test part there are {samples} samples, and with validation_fraction {validation_fraction:g} "
            "none is left to train on; give more samples, raise dataset.limit, or lower dataset.validation_fraction"
        )


class TargetsConstant(EngineError):
    """All targets of a regression's part are the same, so that it has no R²."""

    type = "targets-constant"
    title = "There is nothing to explain"

    def __init__(self, part: str, *, samples: int, value: float) -> None:
        self.part = part
        super().__init__(
            f"all targets of the {part} part, {samples} of them, are {value:g}: give more samples, another target, "
            "or dataset.validation_fraction 0 where it is the validation part"
        )


class CheckpointUnusable(EngineError):
    """The checkpoint is damaged, or of another job."""

    type = "checkpoint-unusable"
    title = "The checkpoint cannot be used"

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path.name}: {problem}")


class CheckpointDamaged(CheckpointUnusable):
    """The checkpoint's bytes are not those that were written."""


class CheckpointUnreadable(EngineError):
    """The checkpoint's file is not there, or the disk does not give it."""

    type = "checkpoint-unreadable"
    title = "The checkpoint cannot be read"
    permanent = False

    def __init__(self, path: Path, cause: OSError) -> None:
        self.path = path
        super().__init__(f"{path.name}: {cause.strerror}")


class LossNotFinite(EngineError):
    """The loss or a gradient became NaN or infinite."""

    type = "loss-not-finite"
    title = "The loss is no longer finite"

    def __init__(self, *, what: str, step: int, lr: float, checkpoint: str | None = None) -> None:
        self.step = step
        self.lr = lr
        self.checkpoint = checkpoint
        kept = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was written before"
        super().__init__(
            f"{what} is NaN or infinite at step {step}, where the learning rate is {lr:.6g}; {kept}. "
            "Lower optimizer.lr or sam.rho, or set clip_norm."
        )


class DeviceUnavailable(EngineError):
    """The machine lacks the device the spec asks for."""

    type = "device-unavailable"
    title = "No such device here"
    permanent = False

    def __init__(self, device: str, *, found: int) -> None:
        has = "none" if found == 0 else f"only {found}"
        super().__init__(f"resources.device is {device} and this machine has {has} that torch can use")


class OutOfMemory(EngineError):
    """The device's memory did not do. Not permanent: what else lay in it may be gone next time, or elsewhere."""

    type = "out-of-memory"
    title = "Out of memory"
    permanent = False

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{_one_line(cause)}. {_NEED_LESS}")


class MemoryTooSmall(OutOfMemory):
    """Told before anything is asked for: a machine that swaps takes everything else on it along."""

    def __init__(self, *, needed: int, there: int) -> None:
        EngineError.__init__(
            self,
            f"the job needs about {needed / 1e9:.1f} GB, and its device has {there / 1e9:.1f} GB in all. {_NEED_LESS}",
        )


class OwnDatasetUnavailable(DatasetUnavailable):
    """People's own files are not where the spec says, under LOWLAND_DATA_DIR."""

    def __init__(self, dataset: str, *, path: str, problem: str) -> None:
        self.dataset = dataset
        self.path = path
        EngineError.__init__(self, f'{dataset} is not on disk: dataset.path is "{path}", and {problem}')


class RankLost(EngineError):
    """A data-parallel process died without a word."""

    type = "rank-lost"
    title = "A data-parallel process was lost"
    permanent = False

    def __init__(self, rank: int, exit_status: int) -> None:
        self.rank = rank
        how = f"by signal {-exit_status}" if exit_status < 0 else f"with exit status {exit_status}"
        super().__init__(f"rank {rank} ended {how} and said nothing")


class RankFailed(EngineError):
    """Another data-parallel process gave up: its error is the one to report."""

    type = "rank-failed"
    title = "A data-parallel process failed"

    def __init__(self, report: Broken) -> None:
        self.report = report
        super().__init__(report.detail)


class BatchTooSmall(EngineError):
    """A BatchNorm was given a single value of each channel to make a mean and a deviation of."""

    type = "batch-too-small"
    title = "The batch is too small for the model"

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"{_one_line(cause)}. Raise batch_size (or sam.shard_size, where that splits it), lower "
            "resources.world_size, or set model.resize, which leaves more than a pixel."
        )


def broken(error: BaseException) -> Broken:
    """Say in a report why the engine gives up."""
    if _is_of_a_single_value(error):
        error = BatchTooSmall(error)
    if isinstance(error, RankFailed):
        return error.report
    if _is_out_of_memory(error):
        error = OutOfMemory(error)
    if isinstance(error, EngineError):
        return Broken(type=error.type, title=error.title, detail=str(error)[:MAX_DETAIL], permanent=error.permanent)
    return Broken(
        type=UNNAMED,
        title="The engine failed unexpectedly",
        detail=_one_line(error)[:MAX_DETAIL],
        permanent=False,
    )


def has_name(error: BaseException) -> bool:
    """Whether it is one of these; any other may only follow from what went wrong elsewhere."""
    return isinstance(error, EngineError) or _is_out_of_memory(error)


def _is_out_of_memory(error: BaseException) -> bool:
    """It comes in three forms; the CPU's has no class of its own."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _is_of_a_single_value(error: BaseException) -> bool:
    return isinstance(error, ValueError) and "Expected more than 1 value per channel" in str(error)


def _one_line(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
