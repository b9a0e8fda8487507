"""The optimizer's own time: each step is given its gradients, and no pass is run."""

from typing import Final

from sam_peers import timing
from sam_peers.contestants import ENTRIES, OURS, Entry, Recipe
from sam_peers.step_sides import BASES, FAR, Row, Setting, base_alone, one_pass

#: Ours beside a peer's optimizer time, at most; 0.7 is the aim.
OPTIMIZER_TARGET: Final = 1.0


def optimizer_time(setting: Setting) -> list[Row]:
    """Ours over each peer that has the variant, and ours over the base optimizer alone."""
    rows: list[Row] = []
    for model_name in setting.models:
        rounds = setting.rounds(48 if model_name == "resnet18" else 400)
        for label in setting.labels:
            entry = next(e for e in ENTRIES if e.label == label)
            if entry.by_samples:
                continue  # nothing to give: its passes are the variant's own
            times = timing.alternate(optimizer_turns(setting, entry, model_name), setting.clock, rounds=rounds)
            ours_ms = timing.spread(times[OURS]).median
            for library, theirs in times.items():
                if library == OURS:
                    continue
                ratio = timing.ratios(times[OURS], theirs)
                rows.append(
                    Row(
                        what="optimizer",
                        model=model_name,
                        variant=label,
                        library=library,
                        cost=ratio,
                        target=None if library == entry.base else OPTIMIZER_TARGET,
                        more={"ours ms": ours_ms, "theirs ms": timing.spread(theirs).median},
                    )
                )
    return rows


def optimizer_turns(setting: Setting, entry: Entry, model_name: str) -> dict[str, timing.Turn]:
    """The base optimizer alone, ours, and the peers', each on a model of its own; steps as long as the period is."""
    turns: dict[str, timing.Turn] = {}
    for library, make in {
        entry.base: lambda model, recipe: base_alone(model, entry.base, recipe, one_pass),
        **{c.library: c.make for c in setting.of(entry.label)},
    }.items():
        model = timing.build_model(model_name, setting.device)
        # like for like: the peers' GSAM holds BatchNorm still, their others do not
        recipe = Recipe(
            base_kwargs=BASES[entry.base],
            keep_statistics=entry.variant == "gsam",
            plan={"steps": FAR, "steps_per_epoch": FAR, "class_counts": timing.CLASS_COUNTS},
        )
        task = timing.GivenGradients(list(model.parameters()))
        turns[library] = timing.turn(make(model, recipe), task, steps=entry.period)
    return turns
