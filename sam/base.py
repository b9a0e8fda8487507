"""The frame every variant shares: it alone moves weights, and it alone drives the base optimizer.

A variant is a small program, `_passes`: a generator that yields where it needs a forward and backward pass,
finds the gradients in `.grad` when it goes on, and moves the weights only inside `with self._perturbed(...)`:

    start = self._random_state()
    yield None                                    # the clean gradient
    with self._perturbed(shifts, start):          # save w, w += ε, replay the random numbers
        yield None                                # the perturbed gradient
                                                  # w bit for bit as it was, buffers as pass one left them
What stands in `.grad` when the program ends is the final gradient: the frame looks it over and steps with it.

The frame runs that program for whoever has the passes:

    step(closure)                the closure is one pass
    step_on(batch)               a trainer's batch; variants that need the losses of single samples get them
    from it first_step, second_step      a hand-written loop: the program waits between the two calls

Whatever ends the program, an exception in a pass included, ends the `with` and so puts w back.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias, TypeVar, cast, overload

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import ParamsT, StateDict

from sam import _foreach
from sam._gate import Gate
from sam._replay import Buffers, RandomState
from sam._scaling import refuse_scaler_step, unscale, unscale_in_scaler_step
from sam._weights import Block, Shift, Weights, blocks_of
from sam.batch import Batch, MeanLoss, Pass

#: A torch optimizer class, or anything that builds an optimizer from parameters and keywords.
BaseOptimizer: TypeAlias = Callable[..., Optimizer]
#: A variant's program: yields where it needs a pass.
Passes: TypeAlias = Generator[Pass, None, None]
#: What the caller's closure returns, a tensor or a number; `step` returns the first one.
Loss = TypeVar("Loss")


@dataclass(frozen=True, slots=True)
class _Kept:
    """The final gradients by parameter, and the buffers, as the first pass left them."""

    gradients: list[tuple[Tensor, Tensor]]
    buffers: list[Tensor]


@dataclass(frozen=True, slots=True)
class _ByHand:
    """A step between `first_step` and `second_step`; `kept` is what pass one left, where it was enough."""

    passes: Passes
    kept: _Kept | None
    scaler: GradScaler | None
    overflowed: bool


class SamOptimizer(Optimizer, ABC):
    """A base optimizer whose gradient is taken somewhere else than at w.

    `param_groups` and `state` are the base optimizer's own, so schedulers attach here and drive it, and a
    `state_dict` holds its momentum. To change the final gradient (to clip it, say) register a hook where it
    is used: `optimizer.base_optimizer.register_step_pre_hook(...)`.

    Attributes:
        base_optimizer: the optimizer that steps.
        memory: what a variant remembers from step to step; saved and loaded with the state.
    """

    #: torch's GradScaler then leaves unscaling to `step`, which is how a closure under `scaler.step` can be
    #: refused.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        settings: Mapping[str, object],
        options: Mapping[str, object],
        base_kwargs: Mapping[str, object],
        model: nn.Module | None,
    ) -> None:
        self._settings = dict(settings)
        self._options = dict(options)
        self._check_options(self._options)
        self.base_optimizer = base_optimizer(params, **base_kwargs)
        _check_base(self.base_optimizer, self._options)
        self.memory: dict[str, Any] = {}
        self._buffers = Buffers(model)
        self._weights = Weights()
        self._by_hand: _ByHand | None = None
        self._gate = Gate()
        super().__init__(self.base_optimizer.param_groups, {**self.base_optimizer.defaults, **self._options})
        self.state = self.base_optimizer.state

    # What a variant says.

    @abstractmethod
    def _passes(self) -> Passes:
        """One step's program (see the module). It leaves the final gradient in `.grad`."""

    @abstractmethod
    def _check_options(self, options: Mapping[str, object]) -> None:
        """Raise ValueError for an option of a parameter group that cannot be."""

    # What a caller does.

    @overload
    def step(self, closure: None = None, *, scaler: GradScaler | None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], Loss], *, scaler: GradScaler | None = None) -> Loss: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], Loss] | None = None, *, scaler: GradScaler | None = None) -> Loss | None:
        """Make one step and return the closure's first value, the clean loss.

        Args:
            closure: zeroes the gradients (the frame does too), runs forward and backward, returns the loss;
                called once per pass. Without it the gradients in `.grad` are used, which is enough only where
                one pass is.
            scaler: for a closure that ends in `scaler.scale(loss).backward()`. Both gradients are unscaled,
                and a step with an overflow is skipped; `scaler.update()` is the caller's.
                `scaler.step(optimizer, closure)` is refused: it could not unscale the gradients of the
                closure.

        Raises:
            NonFiniteGradient: on the CPU, without a scaler; weights and state are as before the step.
            RuntimeError: a second pass is needed and there is no closure.
        """
        self._gate.open()
        if closure is None:
            return self._finish_by_hand(self._by_hand) if self._by_hand else self._step_on_gradients(scaler)
        self._refuse_if_pending()
        refuse_scaler_step(self)
        loss: Loss | None = None
        overflowed = False
        passes = self._passes()
        try:
            for number, wanted in enumerate(passes):
                self.zero_grad()
                with torch.enable_grad():
                    value = self._evaluate(wanted, closure)
                overflowed |= unscale(scaler, self if number == 0 else self.base_optimizer, self._gradients)
                loss = value if number == 0 else loss
        finally:
            passes.close()
        self._base_step(overflowed)
        return loss

    def step_on(self, batch: Batch, *, scaler: GradScaler | None = None) -> Tensor:
        """Make one step on a batch and return its clean mean loss, detached, left on its device.

        The trainer's one call, for every variant. Arguments and errors are those of `step`; with a scaler
        the loss is scaled here.
        """
        return self.step(MeanLoss(batch, scaler), scaler=scaler)

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False, *, scaler: GradScaler | None = None) -> bool:
        """Hand-written loop, after the first backward: move to w + ε; return whether a second pass is needed.

        It may be run anyway: where it is not needed, `second_step` uses the gradients and buffers of the
        first. Dropout draws new masks in the second pass, for the random state before the first is not known
        here. A `scaler` unscales both gradients and skips a step that overflowed (`scaler.update()` is the
        caller's).

            loss_of(model(x), y).backward()
            optimizer.first_step(zero_grad=True)
            loss_of(model(x), y).backward()
            optimizer.second_step(zero_grad=True)
        """
        self._refuse_if_pending()
        self._gate.open()
        overflowed = unscale(scaler, self, self._gradients)
        passes = self._passes()
        self._next_pass(passes)
        more = self._next_pass(passes)
        self._by_hand = _ByHand(passes, None if more else self._keep(), scaler, overflowed)
        if zero_grad:
            self.zero_grad()
        return more

    def second_step(self, zero_grad: bool = False) -> None:
        """Hand-written loop, after the second backward: put the weights back, let the base optimizer step."""
        if self._by_hand is None:
            raise RuntimeError("second_step comes after first_step, which was not called")
        self.step()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def restore(self) -> None:
        """Give up a step begun by `first_step`, and put the weights back. Does nothing otherwise."""
        pending, self._by_hand = self._by_hand, None
        if pending is not None:
            pending.passes.close()

    @property
    def is_perturbed(self) -> bool:
        """Whether the weights stand at w + ε now: inside a closure, whether this is a second pass."""
        return self._weights.are_perturbed

    def raise_if_nonfinite(self) -> None:
        """Raise NonFiniteGradient if a step since the last call met a gradient that was not finite.

        Waits for the device. Not needed on the CPU, where the step raises. Elsewhere such a step cannot wait
        to know: the base optimizer is given a gradient of zeros instead, so that nothing that is not finite
        reaches weights or state, and this call tells. Call it where you wait for the device anyway, at a
        report or before a checkpoint.
        """
        self._gate.raise_if_bad()

    # What torch's Optimizer does, for two optimizers that are one.

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with its own options where it names them, to this optimizer and its base."""
        self._check_options({**self._options, **param_group})
        if not any(param_group is known for known in self.base_optimizer.param_groups):
            self.base_optimizer.add_param_group(param_group)
        super().add_param_group(param_group)

    def state_dict(self) -> StateDict:
        """The base optimizer's state dict, and under "memory" what the variant remembers."""
        self._refuse_while_perturbed()
        return {**super().state_dict(), "memory": dict(self.memory)}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Load a state dict of this variant, or of its base optimizer alone."""
        self.restore()
        super().load_state_dict(state_dict)
        self.memory = copy.deepcopy(state_dict.get("memory", {}))

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
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._options.items():
                group.setdefault(name, value)
        self.base_optimizer.__setstate__({"state": self.state, "param_groups": list(self.param_groups)})

    # What a variant calls, beside `self._gate.watch` for a gradient it has looked at.

    def _random_state(self) -> RandomState:
        """The random numbers' state now; taken before the first pass, it is what the second replays."""
        return RandomState(p.device for p in self._parameters())

    def _blocks(self) -> list[Block]:
        """The parameters that have a gradient, and it."""
        return blocks_of(self.param_groups)

    @contextmanager
    def _perturbed(self, shifts: Sequence[Shift], start: RandomState) -> Iterator[None]:
        """Inside: w + ε, and random numbers from `start` on. Afterwards: w and the buffers as they were."""
        copies = self._buffers.copy()
        try:
            with self._weights.perturbed(shifts):
                start.replay()
                yield
        finally:
            self._buffers.put_back(copies)

    # The frame.

    def _parameters(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def _gradients(self) -> list[list[Tensor]]:
        """What the gradients store, in lists of one device and dtype."""
        stored = [_foreach.stored_values(p.grad) for p in self._parameters() if p.grad is not None]
        return [part for (part,) in _foreach.by_type([g for g in stored if g.numel() > 0])]

    def _evaluate(self, wanted: Pass, closure: Callable[[], Loss]) -> Loss:
        if wanted is None:
            return closure()
        if isinstance(closure, MeanLoss):
            return cast(Loss, wanted(closure.batch))
        raise TypeError(f"{type(self).__name__} needs the losses of single samples: use step_on(batch)")

    def _next_pass(self, passes: Passes) -> bool:
        """Go on to the next pass of a step whose passes the caller makes. Returns whether there is one."""
        for wanted in passes:
            if wanted is not None:
                passes.close()
                raise TypeError(f"{type(self).__name__} needs the losses of single samples: use step_on(batch)")
            return True
        return False

    def _base_step(self, overflowed: bool) -> None:
        if not overflowed:
            self._gate.pass_through(self._gradients())
            self.base_optimizer.step()

    def _step_on_gradients(self, scaler: GradScaler | None) -> None:
        if unscale(scaler, self, self._gradients) or unscale_in_scaler_step(self, self._gradients):
            return
        passes = self._passes()
        try:
            self._next_pass(passes)
            if self._next_pass(passes):
                name = type(self).__name__
                raise RuntimeError(
                    f"{name} needs a second pass: give step a closure, or use first_step and second_step"
                )
        finally:
            passes.close()
        self._base_step(overflowed=False)

    def _finish_by_hand(self, pending: _ByHand) -> None:
        self._by_hand = None
        overflowed = pending.overflowed
        try:
            refuse_scaler_step(self)
            if pending.kept is None:
                overflowed |= unscale(pending.scaler, self.base_optimizer, self._gradients)
                if self._next_pass(pending.passes):
                    raise RuntimeError(f"{type(self).__name__} takes more than two passes: use step(closure)")
            else:
                self.zero_grad()
                for p, g in pending.kept.gradients:
                    p.grad = g
                self._buffers.put_back(pending.kept.buffers)
        finally:
            pending.passes.close()
        self._base_step(overflowed)

    def _keep(self) -> _Kept:
        gradients = [(p, p.grad.clone()) for p in self._parameters() if p.grad is not None]
        return _Kept(gradients, self._buffers.copy())

    def _refuse_while_perturbed(self) -> None:
        if self._by_hand is not None or self.is_perturbed:
            raise RuntimeError("a step is under way; save or copy after second_step, or call restore first")

    def _refuse_if_pending(self) -> None:
        if self._by_hand is not None:
            self.restore()
            raise RuntimeError("second_step did not follow first_step; the weights have been put back")


def check_at_least_zero(name: str, value: object) -> None:
    """Raise ValueError unless the value is a finite number >= 0."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if float(value) < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")


def _check_base(base: Optimizer, options: Mapping[str, object]) -> None:
    name = type(base).__name__
    if isinstance(base, SamOptimizer | LBFGS):
        raise ValueError(f"base_optimizer must step on the gradients it finds, got {name}")
    for option in options:
        if option in base.defaults:
            raise ValueError(f"base_optimizer must have no option called {option}, got {name}")
