"""The frame every variant shares: it alone moves weights, and it alone drives the base optimizer.

A variant is a small program, `_passes`: a generator that yields where it needs a forward and backward pass,
finds the gradients in `.grad` when it goes on, and moves the weights only inside `with self._perturbed(...)`:

    start = self._random_state()
    yield CLEAN                                   # the gradient at w, for ε
    with self._perturbed(shifts, start):          # save w, w += ε, replay the random numbers
        yield FINAL                               # the gradient at w + ε, for the update
                                                  # w bit for bit as it was, buffers as pass one left them
What stands in `.grad` when the program ends is the final gradient: the frame looks it over and steps with it. A step
outside `active`, or with every ρ at 0, is the base optimizer's own: then the program is not asked.

The frame runs that program for whoever has the passes:

    step(closure)                the closure is one pass
    step_on(batch)               a trainer's batch; variants that need the losses of single samples get them
    from it first_step, second_step      a hand-written loop: the program waits between the two calls

Whatever ends the program, an exception in a pass included, ends the `with` and so puts w back. What a program writes
to `self._memory` counts from the end of the step on, if the step was taken.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar, Unpack, cast, overload

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from sam import _foreach, _ranks
from sam._around import Around, BaseOptimizer, Said
from sam._by_hand import ByHand
from sam._foreach import Scalar
from sam._gate import Gate
from sam._memory import PerParameter
from sam._passes import CLEAN, FINAL, MeanLoss, Pass, Passes, backward
from sam._replay import Buffers, RandomState
from sam._scaling import forget_scaler_step, refuse_scaler_step, unscale, unscale_in_scaler_step
from sam._weights import Block, Shift, Weights, blocks_of, gradient
from sam.batch import Batch

#: ε from blocks of gradients, and a number that is finite where all of them are.
Perturbation: TypeAlias = Callable[[list[Block]], tuple[list[Shift], Scalar]]
#: What the caller's closure returns, a tensor or a number; `step` returns the first one.
Loss = TypeVar("Loss")


class SamOptimizer(Around):
    """A base optimizer whose gradient is taken somewhere else than at w.

    `param_groups` and `state` are the base optimizer's own, so schedulers attach here and drive it, and a
    `state_dict` holds its momentum. To change the final gradient (to clip it, say) register a hook where it
    is used: `optimizer.base_optimizer.register_step_pre_hook(...)`.

    Attributes:
        base_optimizer: the optimizer that steps.
        steps_taken: steps so far, those that a GradScaler skipped included; saved and loaded with the state.
    """

    #: torch's GradScaler then leaves unscaling to `step`, which is how a closure under `scaler.step` can be
    #: refused.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        model: nn.Module | None,
        rho_0_is_base: bool = True,
        **said: Unpack[Said],
    ) -> None:
        if model is not None and not isinstance(model, nn.Module):
            raise ValueError(f"model must be a torch module, got {model!r}")
        self._rho_0_is_base = rho_0_is_base
        self._model = model
        self._buffers = Buffers(model)
        self._weights = Weights()
        self._gate = Gate()
        self._by_hand: ByHand | None = None
        self._batch: Batch | None = None
        self._scaler: GradScaler | None = None
        self._pass: Pass | None = None
        self._overflowed = False
        super().__init__(params, base_optimizer, **said)

    # What a variant says.

    @abstractmethod
    def _passes(self) -> Passes:
        """The program of a step that is not the base optimizer's. It leaves the final gradient in `.grad`."""

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
                one pass at w is.
            scaler: for a closure that ends in `scaler.scale(loss).backward()`. Both gradients are unscaled,
                and a step with an overflow is skipped; `scaler.update()` is the caller's.
                `scaler.step(optimizer, closure)` is refused: it could not unscale the gradients of the
                closure.

        Raises:
            NonFiniteGradient: on the CPU, without a scaler; weights and state are as before the step.
            RuntimeError: another pass is needed and there is no closure.
            TypeError: the variant needs the losses of single samples, which a closure does not give.
        """
        if closure is None and self._by_hand is not None:
            return self._finish_by_hand(self._by_hand)
        self._refuse_inside_a_step()
        self._gate.open()
        if closure is None:
            return self._step_on_gradients(scaler)
        self._refuse_if_pending()
        refuse_scaler_step(self)
        objective: Callable[[], Loss] = closure
        self._batch = closure.batch if isinstance(closure, MeanLoss) else None
        self._scaler = scaler
        loss: Loss | None = None
        self._overflowed, owner = False, cast(Optimizer, self)
        passes = self._program()
        try:
            for wanted in passes:
                self._pass = wanted
                self._drop_gradients()
                with torch.enable_grad():
                    run = objective if wanted.run is None else cast(Callable[[], Loss], wanted.run)
                    value = run()
                self._overflowed |= unscale(scaler, owner, self._gradients)
                if owner is self:
                    loss, owner = value, self.base_optimizer
        finally:
            self._pass = self._batch = self._scaler = None
            passes.close()
        self._end_step(self._overflowed)
        return loss

    def step_on(self, batch: Batch, *, scaler: GradScaler | None = None) -> Tensor:
        """Make one step on a batch and return its clean mean loss, detached, left on its device.

        The trainer's one call, for every variant. Arguments and errors are those of `step`; with a scaler
        the loss is scaled here.
        """
        if not callable(getattr(batch, "losses", None)):
            raise TypeError(f"batch must have losses(part), as sam.Minibatch has, got {type(batch).__name__}")
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
        self._refuse_inside_a_step()
        self._refuse_if_pending()
        self._gate.open()
        self._overflowed = unscale(scaler, self, self._gradients)
        passes = self._program()
        next(passes)
        # A program whose first pass is at w + ε has no use for the gradient at w that a hand-written loop begins with.
        more = self.is_perturbed or next(passes, None) is not None
        self._by_hand = ByHand.of(passes, self._parameters(), self._buffers, more=more, scaler=scaler)
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
        """Whether the weights stand at w + ε now: inside a closure, whether this is a perturbed pass."""
        return self._weights.are_perturbed

    @property
    def gradient_may_stay_local(self) -> bool:
        """Inside a pass: whether its gradient only makes ε, so that it need not be shared between ranks.

        Sharing it anyway gives all ranks one ε; not sharing it is m-sharpness, m being a rank's batch. With a scaler
        it has to be shared, for all ranks to skip the same steps.

            with ddp.no_sync() if optimizer.gradient_may_stay_local else contextlib.nullcontext():
                loss_of(ddp(x), y).backward()
        """
        return self._pass is not None and self._pass.may_stay_local and self._scaler is None

    def raise_if_nonfinite(self) -> None:
        """Raise NonFiniteGradient if a step since the last call met a gradient that was not finite.

        Waits for the device. Not needed on the CPU, where the step raises. Elsewhere such a step cannot wait
        to know: the base optimizer is given a gradient of zeros instead, so that nothing that is not finite
        reaches weights or state, and this call tells. Call it where you wait for the device anyway, at a
        report or before a checkpoint.
        """
        self._gate.raise_if_bad()

    # What a variant calls, beside `self._memory`.

    def _random_state(self) -> RandomState:
        """The random numbers' state now; taken before the first pass, it is what the second replays."""
        return RandomState(p.device for p in self._parameters())

    def _blocks(self, values: Callable[[Tensor], Tensor | None] = gradient) -> list[Block]:
        """The parameters that have a gradient (or whatever else is asked for), it, and their ρ at this step."""
        return blocks_of(self.param_groups, [self._radius(group) for group in self.param_groups], values)

    def _final_blocks(self) -> list[Block]:
        """The same for a variant that writes to the gradients: one that is a number expanded becomes a tensor."""
        for p in self._parameters():
            if p.grad is not None and 0 in p.grad.stride():
                p.grad = p.grad.clone()
        return self._blocks()

    @contextmanager
    def _perturbed(self, shifts: Sequence[Shift], start: RandomState) -> Iterator[None]:
        """Inside: w + ε, and random numbers from `start` on. Afterwards: w and the buffers as they were."""
        copies = self._buffers.copy()
        try:
            with self._weights.perturbed(shifts):
                del shifts  # as the weights do: nothing here keeps the gradient alive
                start.replay()
                yield
        finally:
            self._buffers.put_back(copies)

    def _two_passes(self, perturbation: Perturbation) -> Passes:
        """The common program: ε from the clean gradient, the final one at w + ε."""
        start = self._random_state()
        yield CLEAN
        with self._perturbed(self._shifts(perturbation), start):
            yield FINAL

    def _shifts(self, perturbation: Perturbation) -> list[Shift]:
        """ε from the gradients in `.grad`, which are looked over. None where a scaler will skip the step anyway."""
        if self._overflowed:
            return []
        shifts, norm = perturbation(self._blocks())
        self._gate.watch(norm, "clean")
        return shifts

    def _batch_at_hand(self) -> Batch:
        """The batch of `step_on`. TypeError in a step that a closure or a hand-written loop drives."""
        if self._batch is None:
            raise TypeError(f"{type(self).__name__} needs the losses of single samples: use step_on(batch)")
        return self._batch

    def _refuse_scaler_and_ranks(self, option: str) -> None:
        if self._scaler is not None:
            raise RuntimeError(f"{option} makes more passes than a GradScaler can unscale: give no scaler")
        if _ranks.count() > 1:
            raise RuntimeError(f"{option} does not work in data parallel: {_ranks.count()} processes are running")

    @property
    def _model_is_compiled(self) -> bool:
        # By attribute: importing torch._dynamo for its class takes as long as importing torch.
        return any(getattr(self._model, name, None) is not None for name in ("_orig_mod", "_compiled_call_impl"))

    def _refuse_wrapped_model(self, option: str) -> None:
        if isinstance(self._model, DistributedDataParallel) or self._model_is_compiled:
            raise ValueError(f"model must be neither compiled nor DistributedDataParallel with {option}")

    def _backward(self, loss: Tensor) -> None:
        """Send a loss of the batch at hand backward, scaled where there is a scaler."""
        backward(loss, self._scaler)

    def _clean_gradients(self) -> PerParameter:
        """Copies of the gradients by parameter, to be used after the next pass.

        The next pass may write where these lie: buckets of data parallelism are used again, and in a hand-written
        loop a caller may zero them in place.
        """
        return {p: g.clone() for p in self._parameters() if (g := p.grad) is not None}

    # The frame.

    def _program(self) -> Passes:
        self._memory.forget_written()
        if self._is_idle():
            yield FINAL
        else:
            yield from self._passes()

    def _is_idle(self) -> bool:
        """Whether this step is the base optimizer's own."""
        if not self._window.holds(self.steps_taken, self._plan):
            return True
        if not self._rho_0_is_base:
            return False
        return "rho" not in self._options or all(self._radius(group) == 0 for group in self.param_groups)

    def _gradients(self) -> list[list[Tensor]]:
        """What the gradients store, in lists of one device and dtype."""
        stored = [_foreach.stored_values(g) for p in self._parameters() if (g := p.grad) is not None]
        return [part for (part,) in _foreach.by_type([g for g in stored if g.numel() > 0])]

    def _drop_gradients(self) -> None:
        for p in self._parameters():
            p.grad = None

    def _end_step(self, overflowed: bool) -> None:
        if not overflowed:
            taken = self._gate.pass_through(self._gradients())
            self.base_optimizer.step()
            self._memory.commit(taken)
        self.steps_taken += 1

    def _step_on_gradients(self, scaler: GradScaler | None) -> None:
        self._overflowed = unscale(scaler, self, self._gradients) or unscale_in_scaler_step(self, self._gradients)
        if not self._overflowed:
            passes = self._program()
            try:
                next(passes)
                if self.is_perturbed or next(passes, None) is not None:
                    forget_scaler_step(self)
                    raise RuntimeError(
                        f"{type(self).__name__} needs another pass: give step a closure, or use first_step and "
                        "second_step"
                    )
            finally:
                passes.close()
        self._end_step(self._overflowed)

    def _finish_by_hand(self, pending: ByHand) -> None:
        self._by_hand = None
        try:
            refuse_scaler_step(self)
            if pending.kept is None:
                self._overflowed |= unscale(pending.scaler, self.base_optimizer, self._gradients)
                if next(pending.passes, None) is not None:
                    raise RuntimeError(f"{type(self).__name__} takes more than two passes: use step(closure)")
            else:
                self._drop_gradients()
                pending.kept.put_back(self._buffers)
        finally:
            pending.passes.close()
        self._end_step(self._overflowed)

    def _refuse_while_perturbed(self) -> None:
        if self._by_hand is not None or self.is_perturbed:
            raise RuntimeError("a step is under way; save or copy after second_step, or call restore first")

    def _refuse_inside_a_step(self) -> None:
        if self._pass is not None:
            raise RuntimeError("a step is under way: a closure cannot begin another, nor load or plan")

    def _refuse_if_pending(self) -> None:
        if self._by_hand is not None:
            self.restore()
            raise RuntimeError("second_step did not follow first_step; the weights have been put back")
