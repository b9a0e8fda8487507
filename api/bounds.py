"""What a server lets a new job ask for, beside what makes any job valid."""

from lowland.errors import FieldError, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.estimate import training_samples


def refuse_beyond(spec: JobSpec, *, max_samples_seen: int | None) -> None:
    """Make sure that a job asks for no more than it may. Functions have no samples, and no such bound.

    Args:
        spec: of the job.
        max_samples_seen: the most epochs × training samples; None is any number.

    Raises:
        SpecInvalid: it asks for more, or nobody can know before its files are read.
    """
    if max_samples_seen is None or spec.dataset is None:
        return
    samples, bound = training_samples(spec.dataset), f"this server's bound of {max_samples_seen} (epochs × samples)"
    most_epochs, most_samples = max_samples_seen // (samples or 1), max_samples_seen // spec.epochs
    if samples is None:
        smaller = f"dataset.limit of at most {most_samples}" if most_samples else "a dataset.limit and fewer epochs"
        detail = f"dataset.limit is null, and {bound} needs it for people's own files; give {smaller}"
        raise SpecInvalid([FieldError(field="dataset.limit", value=None, detail=detail)])
    if spec.epochs > most_epochs:
        ways = [f"epochs of at most {most_epochs}"] if most_epochs else []
        ways += [f"dataset.limit of at most {most_samples}" if most_samples else "fewer epochs and a dataset.limit"]
        detail = f"epochs is {spec.epochs} over {samples} training samples, beyond {bound}; give {', or '.join(ways)}"
        raise SpecInvalid([FieldError(field="epochs", value=spec.epochs, detail=detail)])
