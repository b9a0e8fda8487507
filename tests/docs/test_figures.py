"""Figures are drawn by the scripts beside them; a stale one is a lie."""

from docs.figures import sharpness


def test_the_figure_of_the_explanation_is_what_its_script_draws() -> None:
    drawn = sharpness.draw()

    assert sharpness.FIGURE.read_text(encoding="utf-8") == drawn, "run .venv/bin/python docs/figures/sharpness.py"
