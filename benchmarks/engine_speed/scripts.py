"""Training scripts to compare the engine with, written out as people write them.

    Bare     for speed: the engine's own tensors, augmentation, model, precision and batch, and a loop around them
    Usual    as in tutorials: torchvision's dataset and transforms, a DataLoader, fp32, SAM parameter by parameter

All train on the CPU; none reports, checks or saves anything.
"""
# pyright: reportPrivateImportUsage=false
# (a loop for speed calls what torch's own optimizers call: _foreach_ names, which torch does not export)

from collections.abc import Iterable, Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import KMNIST
from torchvision.models import resnet18

from lowland.networks import MODELS
from lowland.spec import JobSpec
from lowland.spec.datasets import augment_of
from lowland.spec.optimizers import Sgd
from lowland.spec.sam import Plain, Sam
from worker.engine.data import DATASETS, Samples
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import Parts, prepare
from worker.engine.device import Precision, autocast, choose_precision
from worker.engine.schedules import LearningRate
from worker.engine.settings import EngineSettings

CPU: Final = torch.device("cpu")
CLASSES: Final = 10
#: KMNIST's mean and deviation, as scripts have them.
KMNIST_SCALE: Final = (0.1918, 0.3483)
#: Samples of an evaluation's batch.
EVALUATED_AT_ONCE: Final = 512


class Bare:
    """A loop for speed."""

    def __init__(self, spec: JobSpec) -> None:
        if spec.dataset is None:
            raise ValueError("function is given; give a dataset")
        self._spec = spec
        self._parts = parts_of(spec)
        self._augment = AUGMENTATIONS[augment_of(spec.dataset)]
        self._precision: Precision = choose_precision(spec.precision, CPU, self._parts.input_shape)
        self._generator = torch.Generator().manual_seed(0)
        self._radius = radius_of(spec)
        self._model = _model_of(spec).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: documented, missing in the stub
        self._parameters: list[Tensor] = list(self._model.parameters())
        self._optimizer = sgd(spec, self._model)
        self._batches = self._endless()

    def step(self) -> int:
        """SAM's two passes, or one where there is no radius."""
        inputs, targets = next(self._batches)
        self._backward(inputs, targets)
        if self._radius:
            self._go_up_and_back(inputs, targets)
        self._optimizer.step()
        return len(targets)

    @torch.no_grad()
    def accuracy(self) -> float:
        """On the job's validation part."""
        validation = self._parts.validation
        if validation is None:
            raise ValueError("the job has no validation part; give validation_fraction > 0")
        self._model.eval()
        hits = sum(
            int((self._model(self._parts.normalise(inputs)).argmax(1) == targets).sum())
            for inputs, targets in validation.batches(EVALUATED_AT_ONCE)
        )
        self._model.train()
        return hits / len(validation)

    def _go_up_and_back(self, inputs: Tensor, targets: Tensor) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        with torch.no_grad():
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            before = [p.clone() for p in self._parameters]
            torch._foreach_add_(self._parameters, torch._foreach_mul(gradients, self._radius / (norm + 1e-12)))
        self._backward(inputs, targets)
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, before)

    def _backward(self, inputs: Tensor, targets: Tensor) -> None:
        self._optimizer.zero_grad()
        with autocast(CPU, self._precision):
            logits = self._model(inputs)
        F.cross_entropy(logits.float(), targets, label_smoothing=self._spec.label_smoothing).backward()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        training, normalise = self._parts.training, self._parts.normalise
        mean = normalise.mean_pixel
        assert mean is not None
        while True:
            for index in torch.randperm(len(training), generator=self._generator).split(self._spec.batch_size):
                images = self._augment(training.inputs(index), mean, self._generator)
                yield normalise(images), training.targets[index]


class Usual:
    """A script as in tutorials, on KMNIST, with the samples of the job's own training part.

    Args:
        spec: the parts, batch, radius, label smoothing, optimizer and schedule are its; the model is not.
        varied: what is done to an image in training; `plain` in evaluation.
    """

    def __init__(
        self,
        spec: JobSpec,
        model: nn.Module,
        *,
        varied: transforms.Compose,
        plain: transforms.Compose,
    ) -> None:
        parts = parts_of(spec)
        self.samples = len(parts.training)
        self._validation = _kmnist(parts.validation, plain)
        self._loader = DataLoader(_kmnist(parts.training, varied), batch_size=spec.batch_size, shuffle=True)
        self._model = model
        self._radius = radius_of(spec)
        self._optimizer = sgd(spec, model)
        self._criterion = nn.CrossEntropyLoss(label_smoothing=spec.label_smoothing)
        self._learning_rate = LearningRate.of(
            spec.schedule, peak=spec.optimizer.lr, epochs=spec.epochs, steps_per_epoch=len(self._loader)
        )
        self._steps = 0
        self._batches = _without_end(self._loader)

    def step(self) -> int:
        """Both passes of SAM, parameter by parameter."""
        images, labels = next(self._batches)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate(self._steps)
        self._optimizer.zero_grad()
        self._criterion(self._model(images), labels).backward()
        before = self._go_up()
        self._optimizer.zero_grad()
        self._criterion(self._model(images), labels).backward()
        with torch.no_grad():
            for parameter, weights in before.items():
                parameter.copy_(weights)
        self._optimizer.step()
        self._steps += 1
        return len(labels)

    def epoch(self) -> float:
        """Take as many steps as make an epoch; gives the validation accuracy after it."""
        for _ in self._loader.batch_sampler or ():
            self.step()
        return self.accuracy()

    @torch.no_grad()
    def accuracy(self) -> float:
        """On the job's validation part."""
        self._model.eval()
        loader = DataLoader(self._validation, batch_size=EVALUATED_AT_ONCE)
        hits = sum(int((self._model(images).argmax(1) == labels).sum()) for images, labels in loader)
        self._model.train()
        return hits / len(self._validation)

    @torch.no_grad()
    def _go_up(self) -> dict[nn.Parameter, Tensor]:
        """Perturb the weights; gives them as they were."""
        gradients = {p: p.grad for p in self._model.parameters() if p.grad is not None}
        norm = torch.norm(torch.stack([g.norm(p=2) for g in gradients.values()]), p=2)
        before = {p: p.data.clone() for p in gradients}
        for parameter, gradient in gradients.items():
            parameter.add_(gradient * (self._radius / (norm + 1e-12)))
        return before


def usual(recipe: JobSpec) -> Usual:
    """The recipe itself, written as in tutorials; its shifts by up to two pixels are torchvision's."""
    shift = transforms.RandomCrop(28, padding=2)
    return Usual(recipe, _model_of(recipe), varied=_pipeline(shift), plain=_pipeline())


def in_the_seeds_way(seed: JobSpec, recipe: JobSpec) -> Usual:
    """The seed's batch, learning rate and so on, on the recipe's model."""
    return Usual(seed, _model_of(recipe), varied=_pipeline(), plain=_pipeline())


def as_the_seed(seed: JobSpec) -> Usual:
    """The seed's recipe on its model: torchvision's ResNet-18, on 32x32 pixels in three channels."""
    pipeline = _pipeline(transforms.Resize(32), transforms.Grayscale(3))
    return Usual(seed, resnet18(num_classes=CLASSES), varied=pipeline, plain=pipeline)


def _model_of(spec: JobSpec) -> nn.Module:
    return MODELS[spec.model.name](parts_of(spec).input_shape, CLASSES, **spec.model.options())


def parts_of(spec: JobSpec) -> Parts:
    """The job's data as the engine has them."""
    if spec.dataset is None:
        raise ValueError("the job has no dataset; give one")
    dataset = DATASETS[spec.dataset.name](spec.dataset, EngineSettings())
    return prepare(dataset, spec.dataset, seed=spec.seed, device=CPU, channels_last=spec.channels_last)


def radius_of(spec: JobSpec) -> float:
    """Of plain SAM, or 0 of the base optimizer alone; the scripts know no other variant."""
    match spec.sam:
        case Plain():
            return 0.0
        case Sam(rho=float(rho), p=2.0, adaptive=False, second_order=False, shard_size=None):
            return rho
        case _:
            raise ValueError(f"sam is {spec.sam!r}; give none, or sam with a fixed radius and p = 2")


def sgd(spec: JobSpec, model: nn.Module) -> torch.optim.SGD:
    """torch's own, with the job's options."""
    if not isinstance(spec.optimizer, Sgd):
        raise ValueError(f"optimizer is {spec.optimizer.name}; give sgd")
    return torch.optim.SGD(model.parameters(), **spec.optimizer.model_dump(exclude={"name"}))


def _kmnist(samples: Samples | None, transform: transforms.Compose) -> Subset[tuple[Tensor, Tensor]]:
    """The same images, read by torchvision; what is learnt of each is an int, and a tensor in a batch."""
    if samples is None or samples.rows is None:
        raise ValueError("the job has no validation part; give validation_fraction > 0")
    settings = EngineSettings()
    root = settings.data_dir or settings.download_dir / "kmnist"
    return Subset(KMNIST(str(root), train=True, transform=transform), samples.rows.tolist())


def _pipeline(*steps: object) -> transforms.Compose:
    mean, deviation = KMNIST_SCALE
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize((mean,), (deviation,))])


def _without_end(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
