"""What can go wrong in a step beyond a wrong argument.

ArithmeticError
  NonFiniteGradient     a gradient held inf or nan; the weights are finite and unperturbed
"""

from typing import Literal

Which = Literal["clean", "final", "unknown"]

_ADVICE = "Lower the learning rate, look for a log or a division in the loss, or use a GradScaler with float16."


class NonFiniteGradient(ArithmeticError):
    """A gradient held inf or nan, and the base optimizer did not take it.

    On the CPU it is raised by the step itself: weights and optimizer state are exactly as they were. On other
    devices it is raised by `raise_if_nonfinite`, and `steps` says how many steps met such a gradient.
    """

    def __init__(self, which: Which, steps: int = 1) -> None:
        self.which: Which = which
        self.steps = steps
        subject = "a gradient was" if which == "unknown" else f"the {which} gradient is"
        times = f" in {steps} steps" if steps > 1 else ""
        super().__init__(f"{subject} not finite{times}; it was kept from the weights. {_ADVICE}")

    def __reduce__(self) -> tuple[type["NonFiniteGradient"], tuple[Which, int]]:
        return type(self), (self.which, self.steps)
