"""What a minimisation leaves behind.

path.json        every recorded step: where it led, and the function's minima as far as they are known
path.svg         the path on the function
path.gif         the same, growing
manifest.json    spec, versions, results
metrics.jsonl    one line a step
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lowland.spec.expressions import Expression
from lowland.spec.functions import Named, Point
from lowland.spec.job import JobSpec
from worker.engine.artifacts import Artifact, manifest, series, write_artifacts
from worker.engine.functions import animation, function_of, picture
from worker.engine.functions.scene import scene_of
from worker.engine.functions.trail import Trail
from worker.engine.session import Session


def write_result(
    session: Session,
    *,
    spec: JobSpec,
    known: Named | Expression,
    minima: Sequence[Point],
    trail: Trail,
    outcome: Mapping[str, Any],
) -> None:
    """Write and report each of the five."""
    scene = scene_of(known, function_of(known), minima=minima, trail=trail, variant=spec.sam.variant)
    artifacts = [
        Artifact("path.json", "application/json", _path(known, minima, trail)),
        Artifact("path.svg", "image/svg+xml", picture.draw(scene).encode()),
        Artifact("path.gif", "image/gif", animation.draw(scene)),
        manifest(spec, {"device": "cpu", "precision": "fp64", **outcome}),
        series(_series(trail)),
    ]
    write_artifacts(session.out, session.reporter, artifacts)


def _path(known: Named | Expression, minima: Sequence[Point], trail: Trail) -> bytes:
    about = {
        "function": known.name if isinstance(known, Named) else known.text,
        "formula": known.formula if isinstance(known, Named) else known.text,
        "minima": [list(minimum) for minimum in minima],
        "every": trail.every,
        "best": {"step": trail.best_step, "value": trail.best_value},
        "path": [
            {
                "step": place.step,
                "x": place.x,
                "value": place.value,
                "gradient_norm": place.gradient_norm,
                "learning_rate": None if math.isnan(place.learning_rate) else place.learning_rate,
            }
            for place in trail.places()
        ],
    }
    return json.dumps(about, allow_nan=False).encode() + b"\n"


def _series(trail: Trail) -> list[dict[str, float]]:
    """Of every recorded step but the start, which nothing led to."""
    return [
        {
            "step": place.step,
            "value": place.value,
            "gradient_norm": place.gradient_norm,
            "learning_rate": place.learning_rate,
        }
        for place in trail.places()
        if place.step > 0
    ]
