"""Two optimizers that are one: options, groups and state of a variant and of the base optimizer it is around.

`param_groups` and `state` are the base optimizer's own objects, so schedulers drive it and a `state_dict` holds its
momentum. Beside them stand the variant's options, what it remembers, and how far the run is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, Unpack

from torch import Tensor
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import ParamsT, StateDict

from sam._memory import Memory
from sam._plan import Active, Plan, Window, radius, read_count, read_rho
from sam.batch import Batch

#: A torch optimizer class, or anything that builds an optimizer from parameters and keywords.
BaseOptimizer: TypeAlias = Callable[..., Optimizer]


class Said(TypedDict):
    """What a variant says of itself when it is made."""

    settings: Mapping[str, object]
    """Its options that are one for the whole optimizer."""
    options: Mapping[str, object]
    """Those that a parameter group may have of its own, with their defaults."""
    active: Active
    base_kwargs: Mapping[str, object]


class Around(Optimizer, ABC):
    """An optimizer around another. What it does in a step is `SamOptimizer`'s.

    Attributes:
        base_optimizer: the optimizer that steps.
        steps_taken: steps so far, those that a GradScaler skipped included; saved and loaded with the state.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        **said: Unpack[Said],
    ) -> None:
        self._window = Window.of(said["active"])
        self._settings = {**said["settings"], "active": self._window.as_option()}
        self._options = self._read_all_options(said["options"])
        if not callable(base_optimizer):
            raise ValueError(f"base_optimizer must be an optimizer class, got {base_optimizer!r}")
        self.base_optimizer = base_optimizer(params, **said["base_kwargs"])
        _check_base(self.base_optimizer, self._options)
        self.steps_taken = 0
        self._plan = Plan()
        self._memory = Memory()
        super().__init__(self.base_optimizer.param_groups, {**self.base_optimizer.defaults, **self._options})
        self.state = self.base_optimizer.state

    # What a variant may say.

    def _read_options(self, options: Mapping[str, object]) -> Mapping[str, object]:
        """The options of a parameter group other than `rho`, as plain values. ValueError for one that cannot be."""
        del options
        return {}

    def _check_plan(self, plan: Plan) -> None:
        """Raise ValueError for a plan that the variant cannot work with."""

    def _check_group(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError for a parameter group, the base optimizer's options included, that it cannot work with."""

    # What a caller does.

    def plan(
        self,
        *,
        steps: int | None = None,
        steps_per_epoch: int | None = None,
        seed: int = 0,
        class_counts: Sequence[int] | None = None,
        samples: Callable[[int, int], Batch] | None = None,
    ) -> None:
        """Tell what a trainer knows of the run: once, before the first step. Not part of the state.

        Args:
            steps: optimizer steps of the whole run. Wanted by `active` with a start or an end, by a `rho` that
                follows the run.
            steps_per_epoch: optimizer steps of an epoch. Wanted by variants that do something every so many epochs;
                without it the whole run is one epoch.
            seed: random masks are functions of this and of the step, the same on every data-parallel rank.
            class_counts: training samples of each class. Wanted by ImbSAM.
            samples: called with a number n and the step's number, returns a batch of n training samples to estimate
                something from. To resume exactly it has to be a function of the two, to run in data parallel the same
                on every rank. Used by SSAM-F.

        Raises:
            ValueError: a number that cannot be, or one that the variant cannot work with.
        """
        self._refuse_inside_a_step()
        plan = Plan.of(
            steps=steps, steps_per_epoch=steps_per_epoch, seed=seed, class_counts=class_counts, samples=samples
        )
        self._check_plan(plan)
        self._plan = plan

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with its own options where it names them, to this optimizer and its base."""
        params = param_group["params"]
        if not isinstance(params, set):  # which torch refuses, having no order
            param_group["params"] = [params] if isinstance(params, Tensor) else list(params)
        own = self._read_all_options({**self._options, **param_group})
        self._refuse_group({**self.base_optimizer.defaults, **param_group, **own})
        if not any(param_group is known for known in self.base_optimizer.param_groups):
            self.base_optimizer.add_param_group(param_group)
        param_group.update(own)
        if "rho" in own:
            param_group.setdefault("peak_lr", float(param_group["lr"]))
        super().add_param_group(param_group)

    def state_dict(self) -> StateDict:
        """The base optimizer's state dict; beside it "variant", "memory", what it remembers, and "steps_taken"."""
        self._refuse_while_perturbed()
        memory = self._memory.state_dict(self._parameters())
        own = {"variant": type(self).__name__, "memory": memory, "steps_taken": self.steps_taken}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Load a state dict of this variant, or of its base optimizer alone. ValueError for another variant's."""
        self._refuse_inside_a_step()
        self.restore()
        variant, steps = state_dict.get("variant", type(self).__name__), state_dict.get("steps_taken", 0)
        if variant != type(self).__name__:
            raise ValueError(f"state_dict must be of {type(self).__name__} or of its base optimizer, got {variant}'s")
        steps = read_count("steps_taken", steps, least=0)
        memory = Memory()
        memory.load_state_dict(state_dict.get("memory", {}), self._parameters())
        super().load_state_dict({**state_dict, "param_groups": self._with_own_options(state_dict["param_groups"])})
        self._memory, self.steps_taken = memory, steps

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self._settings.items())
        return f"{type(self).__name__}({settings}) of {self.base_optimizer!r}"

    def __getstate__(self) -> dict[str, Any]:
        self._refuse_while_perturbed()
        # Hooks stay behind, as in torch, and so does the `step` a scheduler put in front of ours.
        return {
            name: value
            for name, value in self.__dict__.items()
            if name != "step" and not name.startswith(("_optimizer_", "_opt_called"))
        } | {"_plan": self._plan.for_a_copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._options.items():
                group.setdefault(name, value)
        self.base_optimizer.__setstate__({"state": self.state, "param_groups": list(self.param_groups)})

    # What a step asks.

    @abstractmethod
    def restore(self) -> None:
        """Give up a step begun by hand, and put the weights back."""

    @abstractmethod
    def _refuse_inside_a_step(self) -> None:
        """Raise RuntimeError in a pass of a step."""

    @abstractmethod
    def _refuse_while_perturbed(self) -> None:
        """Raise RuntimeError where a step is under way, in a pass or by hand."""

    def _radius(self, group: Mapping[str, Any]) -> float:
        """The group's ρ at this step."""
        return radius(group, self.steps_taken, self._plan)

    def _parameters(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    # Its own.

    def _read_all_options(self, options: Mapping[str, object]) -> dict[str, object]:
        rho = {"rho": read_rho(options["rho"])} if "rho" in options else {}
        return {**rho, **self._read_options(options)}

    def _with_own_options(self, saved: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Saved groups, with the present options of ours where they have none: those of a base optimizer alone."""
        if len(saved) != len(self.param_groups):
            return saved  # torch tells what is wrong with them
        own = (*self._options, "peak_lr")
        return [
            {**{name: present[name] for name in own if name in present}, **group}
            for present, group in zip(self.param_groups, saved, strict=True)
        ]

    def _refuse_group(self, group: Mapping[str, Any]) -> None:
        for name in self._settings:
            if name in group and name not in self.base_optimizer.defaults:
                raise ValueError(f"{name} is one for the whole optimizer, and cannot be an option of a group")
        if "rho" in group and group.get("maximize"):
            raise ValueError("maximize must be False: what is perturbed to its worst is a loss that is minimised")
        tensors = [p[1] if isinstance(p, tuple) else p for p in group["params"]]
        if "rho" in group and any(isinstance(p, Tensor) and p.is_complex() for p in tensors):
            raise ValueError("params must be real; give complex ones as real views (torch.view_as_real)")
        self._check_group(group)


def _check_base(base: Optimizer, options: Mapping[str, object]) -> None:
    name = type(base).__name__
    if isinstance(base, Around | LBFGS):
        raise ValueError(f"base_optimizer must step on the gradients it finds, got {name}")
    for option in options:
        if option in base.defaults:
            raise ValueError(f"base_optimizer must have no option called {option}, got {name}")
