"""Who takes part: every variant of ours and its counterpart in each peer, made and driven as its own pages say.

    Task         one batch under one model: what a step is taken on, whoever takes it
    Recipe       how an optimizer is to be made, in our words
    Contestant   one class of one library
    Stepper      a contestant at work on one model

A variant or a peer that is not there is left out of the tables built from `contestants`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import sam

#: Our name in the tables.
OURS: Final = "lowland"
#: pytorch_optimizer with its batched arithmetic switched on, which on a CPU it leaves off.
FOREACH: Final = "pytorch_optimizer, foreach=True"

#: Keywords that are not read here, but handed to somebody else's constructor.
Options: TypeAlias = Mapping[str, Any]


class Passes(Protocol):
    """What every step is taken on: a closure that zeroes the gradients, and runs forward and backward."""

    scaler: GradScaler | None

    def closure(self) -> Tensor: ...


@dataclass(slots=True, kw_only=True)
class Task:
    """One batch of n samples under a model: a closure, and a batch as `step_on` takes it.

    `watch` is told the number of a pass of this step, from 1, before it runs; `spoil` may change the losses it gives.
    Counted are passes and samples sent forward; `begin` starts a step.
    """

    model: nn.Module
    inputs: Tensor
    labels: Tensor  # int64 [n], on the CPU
    loss: Callable[[Tensor, Tensor], Tensor] = lambda outputs, labels: F.cross_entropy(
        outputs, labels, reduction="none"
    )
    scaler: GradScaler | None = None
    watch: Callable[[int], None] = lambda number: None
    spoil: Callable[[int, Tensor], Tensor] = lambda number, losses: losses
    passes: int = 0
    samples: int = 0
    targets: Tensor = field(init=False)  # the labels beside the inputs
    _parameters: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.targets = self.labels.to(self.inputs.device)
        self._parameters = list(self.model.parameters())

    def __len__(self) -> int:
        return len(self.inputs)

    def begin(self) -> None:
        self.passes = self.samples = 0

    def losses(self, part: Tensor | None = None) -> Tensor:
        x, y = (self.inputs, self.targets) if part is None else (self.inputs[part], self.targets[part])
        self.passes += 1
        self.samples += len(x)
        self.watch(self.passes)
        return self.spoil(self.passes, self.loss(self.model(x), y))

    def closure(self) -> Tensor:
        for p in self._parameters:
            p.grad = None
        with torch.enable_grad():  # pytorch_optimizer's GSAM calls it without
            loss = self.losses().mean()
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        return loss.detach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an optimizer is to be made; `options` are the variant's, by our names, on top of its entry's.

    Args:
        keep_statistics: give ours the model, so that BatchNorm moves once. GSAM of the peers always gets it.
        plan: what a trainer tells of the run (`SamOptimizer.plan`); the peers have nothing of that.
    """

    base_kwargs: Options
    options: Options = field(default_factory=dict)
    keep_statistics: bool = False
    plan: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepper:
    """An optimizer and how its pages say it is driven: one training step, its state, and that state loaded again."""

    optimizer: Any
    step: Callable[[Any], object]
    save: Callable[[], Any]
    load: Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the tables: one variant of ours, with the options it is compared under.

    Args:
        idle: options beside ρ = 0 that make it the base optimizer.
        by_samples: it needs the losses of single samples, so it is driven by `step_on`.
        period: steps after which its cost repeats.
        due: samples sent forward in one step, on average, in batches.
        perturbed: the pass of a step that runs at w + ε.
    """

    label: str
    variant: str
    options: Options = field(default_factory=dict)
    idle: Options = field(default_factory=dict)
    base: str = "SGD"
    by_samples: bool = False
    period: int = 1
    due: float = 2.0
    perturbed: int = 2


ENTRIES: Final[Sequence[Entry]] = (
    Entry(label="none", variant="none", due=1.0, perturbed=1),
    Entry(label="sam", variant="sam", options={"rho": 0.05}),
    Entry(label="sam, adaptive", variant="sam", options={"rho": 0.5, "adaptive": True}),
    Entry(label="ssam-f", variant="ssam-f", options={"rho": 0.05}),
    Entry(label="ssam-d", variant="ssam-d", options={"rho": 0.05}),
    Entry(label="friendly", variant="friendly", options={"rho": 0.1, "sigma": 1.0, "lmbda": 0.9}),
    Entry(label="imbsam", variant="imbsam", options={"rho": 0.05}, idle={"tail_weight": 1.0}, by_samples=True),
    Entry(label="gsam", variant="gsam", options={"rho": 0.05, "alpha": 0.4}),
    Entry(label="looksam", variant="looksam", options={"rho": 0.05, "alpha": 0.3, "k": 5}, period=5, due=1.2),
    # zij's LookSAM counts steps by its base optimizer's state, which SGD does not keep: its page says AdamW
    Entry(
        label="looksam, AdamW",
        variant="looksam",
        options={"rho": 0.05, "alpha": 0.3, "k": 5},
        base="AdamW",
        period=5,
        due=1.2,
    ),
    Entry(label="msam", variant="msam", options={"rho": 0.05}, due=1.0, perturbed=1),
    Entry(label="esam", variant="esam", options={"rho": 0.05}, by_samples=True, due=2.5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One class of one library in one row.

    Args:
        bases: where its base optimizers are found by name.
        offers: options beyond the entry's that the class has.
        helper: what the library exports to hold BatchNorm still in the second pass, told the number of each pass.
    """

    library: str
    entry: Entry
    make: Callable[[nn.Module, Recipe], Stepper]
    bases: Any = torch.optim
    offers: frozenset[str] = frozenset()
    helper: Callable[[int, nn.Module], None] | None = None

    @property
    def is_ours(self) -> bool:
        return self.library == OURS


def contestants(peers: Mapping[str, ModuleType], *, foreach: bool = False) -> list[Contestant]:
    """Everybody there is, row by row, ours first. `foreach` adds pytorch_optimizer's batched arithmetic."""
    found: list[Contestant] = []
    for entry in ENTRIES:
        if entry.variant in sam.VARIANTS:
            found.append(ours(entry))
        if "pytorch_optimizer" in peers:
            found += of_pytorch_optimizer(entry, peers["pytorch_optimizer"], foreach=foreach)
        if "zij" in peers:
            found += of_zij(entry, peers["zij"])
    return found


def ours(entry: Entry) -> Contestant:
    """A variant of ours, by closure where it takes one: what the peers are driven by."""

    def make(model: nn.Module, recipe: Recipe) -> Stepper:
        optimizer = sam.build(
            entry.variant,
            model.parameters(),
            getattr(torch.optim, entry.base),
            model=model if recipe.keep_statistics else None,
            **{**entry.options, **recipe.options, **recipe.base_kwargs},
        )
        if recipe.plan:
            optimizer.plan(**recipe.plan)

        def step(task: Any) -> object:
            if entry.by_samples:
                return optimizer.step_on(task, scaler=task.scaler)
            return optimizer.step(task.closure, scaler=task.scaler)

        return Stepper(optimizer=optimizer, step=step, save=optimizer.state_dict, load=optimizer.load_state_dict)

    offers = frozenset({"adaptive", "p"} if entry.label == "sam" else ())
    return Contestant(library=OURS, entry=entry, make=make, offers=offers)


def of_pytorch_optimizer(entry: Entry, module: Any, *, foreach: bool) -> list[Contestant]:
    """Its SAM, LookSAM and FriendlySAM want a backward before `step`; its GSAM runs both passes itself."""
    names = {"sam": "SAM", "sam, adaptive": "SAM", "friendly": "FriendlySAM", "looksam": "LookSAM"}
    names["looksam, AdamW"] = "LookSAM"

    def wrapping(**more: object) -> Callable[[nn.Module, Recipe], Stepper]:
        def make(model: nn.Module, recipe: Recipe) -> Stepper:
            keywords = {**entry.options, **recipe.options, **recipe.base_kwargs, **more}
            wrapper, base = getattr(module, names[entry.label]), getattr(torch.optim, entry.base)
            return backward_first(wrapper(model.parameters(), base, **keywords))

        return make

    def gsam(**more: object) -> Callable[[nn.Module, Recipe], Stepper]:
        def make(model: nn.Module, recipe: Recipe) -> Stepper:
            options = {**entry.options, **recipe.options, **more}
            base = getattr(torch.optim, entry.base)(model.parameters(), **recipe.base_kwargs)
            radius = constant_radius(module.ProportionScheduler, base, options.pop("rho"))
            optimizer = module.GSAM(model.parameters(), base, model, rho_scheduler=radius, **options)
            return both_passes(optimizer, save=optimizer.state_dict, load=optimizer.load_state_dict)

        return make

    if entry.label not in names and entry.label != "gsam":
        return []
    make = gsam if entry.label == "gsam" else wrapping
    offers = frozenset({"adaptive"} if entry.label != "sam, adaptive" else ())
    helper = None if entry.label == "gsam" else statistics_helper(module)
    one = Contestant(library="pytorch_optimizer", entry=entry, make=make(foreach=None), offers=offers, helper=helper)
    batched = Contestant(library=FOREACH, entry=entry, make=make(foreach=True), offers=offers, helper=helper)
    return [one, batched] if foreach else [one]


def of_zij(entry: Entry, module: Any) -> list[Contestant]:
    """davda54's SAM and its kin. The state dict of its GSAM says to save the base optimizer's beside it."""
    names = {"sam": "SAM", "sam, adaptive": "ASAM", "looksam, AdamW": "LookSAM"}

    def wrapping(model: nn.Module, recipe: Recipe) -> Stepper:
        keywords = {**entry.options, **recipe.options, **recipe.base_kwargs}
        wrapper = getattr(module, names[entry.label])
        return backward_first(wrapper(model.parameters(), getattr(module, entry.base), **keywords))

    def gsam(model: nn.Module, recipe: Recipe) -> Stepper:
        options = {**entry.options, **recipe.options}
        base = getattr(module, entry.base)(model.parameters(), **recipe.base_kwargs)
        optimizer = module.GSAM(model.parameters(), base, model, gsam_alpha=options.pop("alpha"), **options)

        def save() -> object:
            return {"base": base.state_dict(), "gsam": optimizer.state_dict()}

        def load(state: Any) -> None:
            base.load_state_dict(state["base"])
            optimizer.load_state_dict(state["gsam"])

        return both_passes(optimizer, save=save, load=load)

    if entry.label not in names and entry.label != "gsam":
        return []
    offers = frozenset({"adaptive"} if entry.label != "sam, adaptive" else ())
    make = gsam if entry.label == "gsam" else wrapping
    return [Contestant(library="zij", entry=entry, make=make, bases=module, offers=offers)]


def backward_first(optimizer: Any) -> Stepper:
    """davda54's convention: gradients first, then `step` with a closure for the second pass."""

    def step(task: Any) -> None:
        task.closure()
        if task.scaler is None:
            optimizer.step(task.closure)
        else:
            task.scaler.step(optimizer, task.closure)

    return Stepper(optimizer=optimizer, step=step, save=optimizer.state_dict, load=optimizer.load_state_dict)


def both_passes(optimizer: Any, *, save: Callable[[], Any], load: Callable[[Any], object]) -> Stepper:
    """GSAM's convention: `step` runs a function that returns outputs and loss, twice."""

    def step(task: Any) -> None:
        def outputs_and_loss() -> tuple[None, Tensor]:
            return None, task.closure()

        if task.scaler is None:
            optimizer.step(outputs_and_loss)
        else:
            task.scaler.step(optimizer, outputs_and_loss)

    return Stepper(optimizer=optimizer, step=step, save=save, load=load)


def constant_radius(scheduler: Any, base: Any, rho: float) -> Any:
    """A ProportionScheduler that always says ρ: with both ends of both ranges equal."""
    lr = base.param_groups[0]["lr"]
    return scheduler(SimpleNamespace(last_lr=[lr]), max_lr=lr, min_lr=lr, max_value=rho, min_value=rho)


def statistics_helper(module: Any) -> Callable[[int, nn.Module], None]:
    """What pytorch_optimizer exports for BatchNorm: statistics on in the first pass, off in the second."""

    def before_pass(number: int, model: nn.Module) -> None:
        (module.enable_running_stats if number == 1 else module.disable_running_stats)(model)

    return before_pass
