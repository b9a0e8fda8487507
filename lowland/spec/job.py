"""The job spec: everything that decides what is trained, and how.

`{"dataset": "kmnist"}` is a whole job. What it leaves open is filled in when it is read: first from the dataset's
recipe (`recipes.py`), then from the defaults below. The result, dumped, reads back as itself, so any job can be run
again from it.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, cast

from pydantic import Field, StringConstraints, ValidationError, model_validator

from lowland.errors import SpecInvalid
from lowland.spec.base import LABEL, LARGEST, URL, Conflict, SpecModel
from lowland.spec.datasets import DatasetSpec
from lowland.spec.explain import explain
from lowland.spec.models import ModelSpec, Resnet9
from lowland.spec.optimizers import Cosine, OptimizerSpec, ScheduleSpec, Sgd
from lowland.spec.pending import refuse_pending
from lowland.spec.resolve import resolve
from lowland.spec.sam import Momentum, Sam, SamSpec

#: Text people choose: one line, no control characters.
Label = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=LABEL)]

MAX_TAGS: Final = 32
#: Priorities go from the negative of it to it.
TOP_PRIORITY: Final = 100


class Ema(SpecModel):
    """Evaluate and keep an exponential moving average of the weights."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay per step."""


class Stop(SpecModel):
    """End the run early, as a success."""

    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    """The series that is watched."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without improvement after which to stop."""
    min_delta: float = Field(default=0.0, ge=0)
    """The least change that counts as an improvement."""
    target: float | None = None
    """Stop as soon as the metric is this good."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Stop after so many seconds of training."""


class Evaluate(SpecModel):
    """Measure the final weights on corrupted test data too."""

    corruptions: list[Literal["gaussian_noise", "blur", "occlusion", "shift"]] = Field(min_length=1)
    """Which corruptions."""
    severity: int = Field(default=3, ge=1, le=5)
    """How strong, 1 to 5."""


class Sharpness(SpecModel):
    """Measure the flatness of the found minimum at the end."""

    samples: int = Field(default=1024, ge=1)
    """Training samples the loss is measured on."""


class Resources(SpecModel):
    """What the job needs of a machine."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; "auto" takes whatever is free first."""
    world_size: int = Field(default=1, ge=1, le=1024)
    """Devices, one data-parallel process each."""


class Webhook(SpecModel):
    """Whom to tell when something happens to the job."""

    url: str = Field(max_length=2000, pattern=URL)
    """Where to POST."""
    events: list[Literal["started", "finished"]] = Field(default=["finished"], min_length=1)
    """What to tell."""
    secret: str | None = Field(default=None, max_length=200)
    """Signs what is sent; write-only."""


class JobSpec(SpecModel):
    """A training job. Give `dataset`, or `function`; everything else has a default.

    Wherever an object has a `name` or a `variant`, that string alone stands for it.
    """

    name: Label | None = None
    """What to call the job; need not be unique."""
    tags: dict[Label, Label] = Field(default={}, max_length=MAX_TAGS)
    """Free labels to find the job by."""
    dataset: DatasetSpec | None = None
    """What to train on."""
    function: str | None = Field(default=None, min_length=1, max_length=1000)
    """An expression in x (or x0, x1, ...) to minimise, or a test function's name, instead of a dataset."""
    start: list[float] | None = Field(default=None, min_length=1, max_length=1000)
    """Where to start minimising `function`, one number per variable."""
    steps: int | None = Field(default=None, ge=1, le=1_000_000)
    """Optimizer steps on `function`."""
    model: ModelSpec = Resnet9()
    """What to train."""
    sam: SamSpec = Sam()
    """How to look for flat minima."""
    optimizer: OptimizerSpec = Sgd()
    """The base optimizer."""
    schedule: ScheduleSpec = Cosine()
    """The learning rate's course."""
    epochs: int = Field(default=10, ge=1, le=10_000)
    """Passes over the training set."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Samples per batch, over all devices. A last, smaller batch of an epoch is trained on too."""
    accumulate: int = Field(default=1, ge=1, le=1024)
    """Batches whose gradients are averaged into one step."""
    clip_norm: float | None = Field(default=None, gt=0, le=LARGEST)
    """Largest L2 norm of the final gradient; null does not clip."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Probability taken from the true class and spread over all (Szegedy et al., CVPR 2016)."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the passes; weights stay fp32. "auto" is bf16 where the device computes in it, else fp32."""
    channels_last: bool = True
    """Lay images out with channels last, faster for convolutions."""
    compile: bool = False
    """Compile the model with torch.compile."""
    ema: Ema | None = None
    """Average the weights; null does not."""
    seed: int = Field(default=0, ge=0, lt=2**53)
    """Of weights, order, augmentation, dropout and splits."""
    deterministic: bool = True
    """Use only operations that give the same bits each time on the same machine."""
    stop: Stop | None = None
    """When to stop early; null trains all epochs."""
    evaluate: Evaluate | None = None
    """Further evaluation at the end."""
    sharpness: Sharpness | None = None
    """Flatness measurements at the end."""
    resources: Resources = Resources()
    """What the job needs of a machine."""
    priority: int = Field(default=0, ge=-TOP_PRIORITY, le=TOP_PRIORITY)
    """Higher is claimed first."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Longest duration of one attempt; past it the job fails."""
    stall_timeout_s: float = Field(default=600, gt=0)
    """Longest silence of the engine; past it the attempt is lost."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Attempts after which a job that keeps dying fails."""
    checkpoint_every_epochs: int = Field(default=1, ge=1)
    """Epochs between two checkpoints."""
    checkpoint_every_s: float | None = Field(default=600, gt=0)
    """Longest time between two checkpoints, also within an epoch; null leaves it to the epochs."""
    webhook: Webhook | None = None
    """Whom to tell when something happens to the job."""

    @classmethod
    def parse(cls, given: object) -> Self:
        """Read a spec from JSON values, filling in every default.

        Raises:
            SpecInvalid: with one entry per mistake, naming the field, its value and what would be accepted.
        """
        try:
            spec = cls.model_validate(given)
        except ValidationError as error:
            raise SpecInvalid(explain(error, cls, given)) from error
        if pending := refuse_pending(spec):
            raise SpecInvalid(pending)
        return spec

    @property
    def device_class(self) -> Literal["any", "cpu", "cuda"]:
        """Which machines may claim the job: those with a GPU, those without, or any."""
        return "any" if self.resources.device == "auto" else self.resources.device

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return resolve(cast("Mapping[str, object]", given), cls.model_fields)

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if (self.dataset is None) == (self.function is None):
            raise Conflict(
                "dataset",
                "give either dataset or function: " + ("both are there" if self.dataset else "neither is there"),
            )
        if self.function is None and (self.start is not None or self.steps is not None):
            raise Conflict(
                "start" if self.start is not None else "steps",
                "start and steps belong to function; leave them out, or give function instead of dataset",
            )
        if self.function is not None and self.start is None:
            raise Conflict(
                "start", "start is missing; give the point to start from, one number per variable of function"
            )
        if self.schedule.warmup_epochs > self.epochs:
            raise Conflict(
                "schedule.warmup_epochs",
                f"schedule.warmup_epochs is {self.schedule.warmup_epochs:g} and epochs is {self.epochs}; "
                "warm up for at most all epochs",
            )
        return self

    @model_validator(mode="after")
    def _momentum_to_perturb_along(self) -> Self:
        has_none = isinstance(self.optimizer, Sgd) and self.optimizer.momentum == 0
        if has_none and isinstance(self.sam, Momentum) and self.sam.rho != 0:
            raise Conflict(
                "optimizer.momentum",
                'optimizer.momentum is 0 and sam.variant is "msam", which perturbs along the momentum; '
                "give momentum > 0, or another variant",
            )
        return self
