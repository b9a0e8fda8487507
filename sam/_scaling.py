"""Loss scaling (float16): what torch's GradScaler does once per step, done for both gradients of one.

A scaler unscales once per optimizer and update. Here the first pass counts as the SAM optimizer's and the
second as its base's, so `scaler.update()` hears of an overflow in either.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from sam import _foreach


def unscale(scaler: GradScaler | None, owner: Optimizer, gradients: Callable[[], Sequence[list[Tensor]]]) -> bool:
    """Unscale the gradients in place and return whether they overflowed; then they are zero from here on.

    A step that overflowed goes on with ε = 0 and only its update is skipped, so that every rank makes as many
    passes. Waits for the device, as `scaler.step` does.
    """
    if scaler is None or not scaler.is_enabled():
        return False
    scaler.unscale_(owner)
    found = gradients()
    if _foreach.is_finite(_foreach.finiteness(found)):
        return False
    for g in found:
        _foreach.zero_(g)
    return True


def unscale_in_scaler_step(optimizer: Optimizer, gradients: Callable[[], Sequence[list[Tensor]]]) -> bool:
    """Under `scaler.step(optimizer)`: unscale unless that was done, and return whether the scaler found an
    overflow.

    The scaler leaves both to optimizers that set `_step_supports_amp_scaling`, and hands them two attributes.
    """
    handed = vars(optimizer)
    scale = handed.get("grad_scale")
    if scale is not None:
        for g in gradients():
            _foreach.scale_(g, scale.double().reciprocal().float())
    return bool(handed.get("found_inf", False))


def refuse_scaler_step(optimizer: Optimizer) -> None:
    """Raise under `scaler.step(optimizer, ...)`: it would let the gradients of a closure in as scaled."""
    if not forget_scaler_step(optimizer):
        return
    raise RuntimeError(
        "scaler.step cannot unscale the gradients of two passes; use optimizer.step(closure, scaler=scaler), "
        "or optimizer.first_step(scaler=scaler) and optimizer.second_step(), then scaler.update()"
    )


def forget_scaler_step(optimizer: Optimizer) -> bool:
    """Drop what `scaler.step` has handed over, which it takes back only from a step that returns. Whether it had."""
    handed = vars(optimizer)
    handed.pop("grad_scale", None)
    return handed.pop("found_inf", None) is not None
