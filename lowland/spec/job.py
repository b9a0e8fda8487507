"""The job spec: everything that decides what is trained, and how.

`{"dataset": "kmnist"}` is a whole job. What it leaves open is filled in when it is read: first from the dataset's
recipe (`recipes.py`), then from the defaults below. The result, dumped, reads back as itself, so any job can be run
again from it.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, ValidationInfo, model_validator

from lowland.errors import SpecInvalid
from lowland.spec.base import LABEL, LARGEST, MACHINE_LABEL, SECRET, TAG, URL, Conflict, SpecModel
from lowland.spec.conflicts import CHECKS
from lowland.spec.datasets import DatasetSpec, task_of
from lowland.spec.explain import explain
from lowland.spec.expressions import MAX_LENGTH
from lowland.spec.models import ModelSpec, Resnet9
from lowland.spec.optimizers import OptimizerSpec, Sgd
from lowland.spec.pending import refuse_pending
from lowland.spec.resolve import resolve
from lowland.spec.sam import Sam, SamSpec
from lowland.spec.schedules import Cosine, ScheduleSpec
from lowland.spec.versions import READ, VERSION, upgraded

#: Text people choose: one line, no control characters.
Label = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=LABEL)]
#: What stands before the colon where jobs are found by a tag and its value.
TagName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=TAG)]

MAX_TAGS: Final = 32
#: Says that a spec was accepted before.
_ACCEPTED: Final = {"accepted": True}
#: Priorities go from the negative of it to it.
TOP_PRIORITY: Final = 100


class Ema(SpecModel):
    """Measure, select and keep an exponential moving average of the weights (and of BatchNorm's statistics)."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay per step. The average reaches back over about 1 / (1 - decay) steps; 0 is the weights themselves."""


class Stop(SpecModel):
    """End the run early, as a success, with the best weights so far."""

    metric: (
        Literal["validation_accuracy", "validation_r2", "validation_loss", "train_loss", "train_r2", "value"] | None
    ) = None
    """The series that is watched; null is the objective: validation accuracy or R², without a validation part the
    training loss, of a function its value."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without improvement after which to stop; of a function steps. Null waits for ever."""
    min_delta: float = Field(default=0.0, ge=0, le=LARGEST)
    """The least change that counts as an improvement."""
    target: float | None = None
    """Stop as soon as the metric is this good; an accuracy (a fraction) and R² at most 1."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Stop after so many seconds of training, over all attempts; the epoch under way is measured and counts."""

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if self.patience is None and self.target is None and self.max_seconds is None:
            raise Conflict("patience", "stop has no rule; give patience, target or max_seconds")
        return self


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"they are {', '.join(names)}; give each once")
    return names


class Evaluate(SpecModel):
    """Measure the final weights on corrupted and incomplete test images too (after Hendrycks and Dietterich, 2019)."""

    corruptions: Annotated[
        list[Literal["gaussian_noise", "blur", "occlusion", "shift"]],
        Field(min_length=1, max_length=4),
        AfterValidator(_each_once),
    ]
    """Which corruptions."""
    severity: int = Field(default=3, ge=1, le=5)
    """How strong, 1 to 5."""


class Sharpness(SpecModel):
    """Measure the flatness of the found minimum at the end."""

    samples: int = Field(default=1024, ge=1)
    """Training samples the loss is measured on."""


#: What a machine is labelled with.
MachineLabel = Annotated[str, StringConstraints(pattern=MACHINE_LABEL)]


class Resources(SpecModel):
    """What the job needs of a machine."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; "auto" takes whatever is free first."""
    world_size: int = Field(default=1, ge=1, le=1024)
    """Devices, one data-parallel process each."""
    gpu_memory_gb: float | None = Field(default=None, gt=0, le=10_000)
    """Memory that each GPU must have, in GB (10^9 bytes); null takes any. A job that names it is trained on GPUs."""
    labels: Annotated[list[MachineLabel], AfterValidator(_each_once)] = Field(default=[], max_length=16)
    """What the machine must be labelled with (its `LOWLAND_LABELS`), all of it."""


def _base64(secret: str) -> str:
    try:
        b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise ValueError("what follows whsec_ is no base64") from error
    return secret


def _with_a_port(url: str) -> str:
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError("its port is none; give one of 0 to 65535, or none") from error
    return url


class Webhook(SpecModel):
    """Whom to tell when something happens to the job."""

    url: Annotated[str, StringConstraints(max_length=2000, pattern=URL), AfterValidator(_with_a_port)]
    """Where to POST."""
    events: Annotated[list[Literal["started", "finished"]], AfterValidator(_each_once)] = Field(
        default=["finished"], min_length=1, max_length=2
    )
    """What to tell."""
    secret: Annotated[str, StringConstraints(pattern=SECRET), AfterValidator(_base64)] | None = None
    """Signs what is sent, by the Standard Webhooks specification; write-only. Null leaves it unsigned."""


class JobSpec(SpecModel):
    """A training job. Give `dataset`, or `function`; everything else has a default.

    Wherever an object has a `name` or a `variant`, that string alone stands for it.
    """

    version: int = Field(default=VERSION, ge=min(READ), le=max(READ))
    """Of this description. A server and its workers read the newest and the one before, which they bring up to date."""
    name: Label | None = None
    """What to call the job; need not be unique."""
    tags: dict[TagName, Label] = Field(default={}, max_length=MAX_TAGS)
    """Free labels to find the job by."""
    dataset: DatasetSpec | None = None
    """What to train on."""
    function: str | None = Field(default=None, min_length=1, max_length=MAX_LENGTH)
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
    """Samples per batch, over all devices. A last, smaller batch of an epoch is trained on too; a single sample that is
    left over joins the batch before."""
    accumulate: int = Field(default=1, ge=1, le=1024)
    """Batches whose gradients are averaged into one step, which then has so many times `batch_size` samples."""
    clip_norm: float | None = Field(default=None, gt=0, le=LARGEST)
    """Largest L2 norm of the final gradient; null does not clip."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Probability taken from the true class and spread over all (Szegedy et al., CVPR 2016)."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the passes; weights stay fp32. "auto" is bf16 where the device computes in it (a CPU: of
    images of at least 16 x 16 pixels), else fp32; "fp16" comes with a loss scaler."""
    channels_last: bool = True
    """Lay images out with channels last, faster for convolutions."""
    compile: bool = False
    """Compile the model with torch.compile: faster steps, mostly on a GPU, after a start that can take minutes."""
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

    @classmethod
    def stored(cls, text: str) -> Self:
        """Read a spec that was accepted before, from its JSON: whether its fields fit together is not asked again."""
        return cls.model_validate_json(text, context=_ACCEPTED)

    def without_secret(self) -> Self:
        """What may be shown of it: whoever reads a spec later is not to read the webhook's secret."""
        if self.webhook is None:
            return self
        return self.model_copy(update={"webhook": self.webhook.model_copy(update={"secret": None})})

    @property
    def device_class(self) -> Literal["any", "cpu", "cuda"]:
        """Which machines may claim the job: those with a GPU, those without, or any."""
        return "any" if self.resources.device == "auto" else self.resources.device

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return resolve(upgraded(cast("Mapping[str, object]", given)), cls)

    @property
    def task(self) -> Literal["classification", "regression", "function"]:
        """What kind of job it is; it follows from the dataset, or from there being a function."""
        return "function" if self.dataset is None else task_of(self.dataset)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if info.context is not _ACCEPTED:
            for check in CHECKS:
                check(self)
        return self
