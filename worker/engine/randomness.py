"""Where every random number comes from: the job's seed, what it is for, and the step or epoch it is for.

Nothing is drawn from a generator that lives from step to step, so a run that goes on from a checkpoint needs no
generator's state and still draws the same numbers as one that was never stopped.
"""

import hashlib

import torch


def seed_of(seed: int, purpose: str, index: int = 0) -> int:
    """A seed for one purpose at one point of the run, unrelated to all others."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's own generators, of the CPU and of the device: a model's dropout draws from them.

    `torch.manual_seed` would do it for every kind of device there may be, and take 0.5 ms of a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def generator_for(seed: int, purpose: str, index: int = 0, *, device: torch.device | None = None) -> torch.Generator:
    """A generator of one's own, seeded likewise; on the CPU unless a device is given."""
    generator = torch.Generator(device or torch.device("cpu"))
    generator.manual_seed(seed_of(seed, purpose, index))
    return generator
