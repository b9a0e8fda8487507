"""The few SVG elements the pictures are made of, written out. All text is escaped."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from worker.engine.functions.axes import Array


def document(parts: Iterable[str], *, width: int, height: int, title: str, background: str) -> str:
    """A whole picture."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="Helvetica, Arial, sans-serif" font-size="13">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{background}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def text(
    content: str,
    x: float,
    y: float,
    *,
    colour: str,
    size: int = 13,
    align: str = "start",
    weight: int = 400,
    style: str = "normal",
) -> str:
    look = f'fill="{colour}" font-size="{size}" text-anchor="{align}" font-weight="{weight}" font-style="{style}"'
    return f'<text x="{x:.2f}" y="{y:.2f}" {look}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, colour: str, width: float = 1) -> str:
    return f'<path d="M{x1:.2f} {y1:.2f} L{x2:.2f} {y2:.2f}" stroke="{colour}" stroke-width="{width:g}"/>'


def polyline(pixels: Array, *, colour: str, width: float, opacity: float = 1) -> str:
    """Through all of them, [k, 2]."""
    look = f'fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"'
    return f'<path d="{_moves(pixels.round(1))}" {look} stroke-linejoin="round" stroke-linecap="round"/>'


def area(outlines: Iterable[Array], *, colour: str) -> str:
    """What lies inside an odd number of closed outlines, [k, 2] each."""
    # In tenths of a pixel, which are integers: written in a third of the time, and shorter.
    moves = "".join(f"{_moves((10 * outline).round().astype(np.int64))}Z" for outline in outlines)
    return f'<path transform="scale(.1)" d="{moves}" fill="{colour}" fill-rule="evenodd"/>' if moves else ""


def circle(x: float, y: float, radius: float, *, fill: str, stroke: str, width: float = 1.5) -> str:
    look = f'fill="{fill}" stroke="{stroke}" stroke-width="{width:g}"'
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" {look}/>'


def rectangle(x: float, y: float, width: float, height: float, *, fill: str, stroke: str = "none") -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}" stroke="{stroke}"/>'


def clipped(parts: Iterable[str], x: float, y: float, width: float, height: float) -> str:
    """A group of which only what lies in a rectangle is seen. One to a picture."""
    corner = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    inside = "\n".join(part for part in parts if part)
    return f'<clipPath id="plot"><rect {corner}/></clipPath>\n<g clip-path="url(#plot)">\n{inside}\n</g>'


def _moves(pixels: npt.NDArray[np.generic]) -> str:
    return f"M{' '.join(map(str, pixels.ravel().tolist()))}"
