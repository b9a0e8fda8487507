"""path.gif: the path of a run growing over the function it goes down."""

import io
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from lowland.spec.show import cut
from worker.engine.functions.axes import Axes
from worker.engine.functions.colours import FAINT, INK, MINIMUM, NOWHERE, PAPER, PATH, depths, mixed
from worker.engine.functions.landscape import Curve, Map
from worker.engine.functions.scene import Scene, evenly

# Its plug-ins and its font are loaded here, before an engine is forked, and not when the first file is saved.
Image.preinit()
_FONT: Final = ImageFont.load_default(13)

WIDTH: Final = 480
HEIGHT: Final = 400

MAX_FRAMES: Final = 60
FRAME_MS: Final = 80
#: The last frame stays, so that one sees where it ended before it begins again.
LAST_MS: Final = 2000

#: The palette: from paper to ink, as the edges of letters need it; the rest; and after them a map's own.
_GREYS: Final = tuple(mixed(PAPER, INK, i / 7) for i in range(8))
_COLOURS: Final = (*_GREYS, FAINT, NOWHERE, PATH, MINIMUM)
_SMOOTH: Final = [value * (len(_GREYS) - 1) // 255 for value in range(256)]
_INDEX: Final = {colour: index for index, colour in enumerate(_COLOURS)}


def draw(scene: Scene) -> bytes:
    """The whole file, the same for the same scene. It goes round for ever."""
    frames = list(_frames(scene))
    file = io.BytesIO()
    frames[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[*[FRAME_MS] * (len(frames) - 1), LAST_MS],
        loop=0,
        disposal=1,
        optimize=True,  # only what changes from frame to frame is stored
    )
    return file.getvalue()


def _frames(scene: Scene) -> Iterable[Image.Image]:
    axes = Axes(left=16, right=464, top=40, bottom=364, x=scene.x, y=scene.y)
    canvas = _background(scene, axes)
    _write(canvas, cut(scene.title), 16, 12)
    pen = ImageDraw.Draw(canvas)
    path = [(x, y) for x, y in axes.at(scene.path).tolist()]
    shown = 0
    for last in evenly(len(path), MAX_FRAMES):
        pen.line(path[shown : last + 1], fill=_INDEX[PATH], width=2, joint="curve")
        shown = last
        frame = canvas.copy()
        _dot(frame, path[0], 4, fill=PAPER, outline=PATH)
        _dot(frame, path[last], 5, fill=PATH, outline=PAPER)
        _write(frame, f"step {int(scene.steps[last])}", 16, 373)
        _write(frame, f"f(x) = {scene.values[last] + 0.0:.5g}", 300, 373)
        yield frame


def _background(scene: Scene, axes: Axes) -> Image.Image:
    """The function, the minima and the frame around them."""
    bands = depths(len(scene.background.levels) + 1) if isinstance(scene.background, Map) else []
    canvas = Image.new("P", (WIDTH, HEIGHT), _INDEX[PAPER])
    canvas.putpalette([channel for colour in (*_COLOURS, *bands) for channel in ImageColor.getrgb(colour)])
    pen = ImageDraw.Draw(canvas)
    match scene.background:
        case Map() as background:
            canvas.paste(_heat(background, axes), (int(axes.left), int(axes.top)))
        case Curve() as background:
            for run in axes.runs(background.points):
                pen.line(run.ravel().tolist(), fill=_INDEX[INK], width=2)
        case None:
            pass
    for x, y in axes.at(scene.minima).tolist():
        _dot(canvas, (x, y), 5, fill=MINIMUM, outline=INK)
    # What reaches beyond the axes is painted over.
    pen.rectangle((0, 0, WIDTH, axes.top), fill=_INDEX[PAPER])
    pen.rectangle((0, axes.bottom, WIDTH, HEIGHT), fill=_INDEX[PAPER])
    pen.rectangle((axes.left, axes.top, axes.right, axes.bottom), outline=_INDEX[FAINT])
    return canvas


def _heat(background: Map, axes: Axes) -> Image.Image:
    """Its bands, one palette index each."""
    size = (int(axes.right - axes.left), int(axes.bottom - axes.top))
    known = np.isfinite(background.heights)
    heights, levels = np.where(known, background.heights, background.lowest), background.levels
    # Between the grid's points it is the bands that are interpolated: heights may be too large for an image.
    edges = [min(background.lowest, *levels), *levels, max(heights.max(), *levels)] if levels else [0, 0]
    bands = np.interp(heights, edges, range(len(edges)))
    smooth = _resized(bands, size, Image.Resampling.BILINEAR)
    indices = np.clip(smooth, 0, len(levels)).astype(np.uint8) + len(_COLOURS)
    indices[_resized(known, size, Image.Resampling.NEAREST) == 0] = _INDEX[NOWHERE]
    return Image.frombytes("P", size, indices.tobytes())


def _resized(values: npt.NDArray[np.generic], size: tuple[int, int], how: Image.Resampling) -> npt.NDArray[np.float32]:
    """A grid whose rows go up, as an image whose rows go down."""
    return np.asarray(Image.fromarray(values[::-1].astype(np.float32)).resize(size, how))


def _dot(image: Image.Image, at: tuple[float, float], radius: float, *, fill: str, outline: str) -> None:
    x, y = at
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(box, fill=_INDEX[fill], outline=_INDEX[outline], width=2)


def _write(image: Image.Image, text: str, x: int, y: int) -> None:
    """With smooth edges, on paper."""
    _, _, right, bottom = _FONT.getbbox(text)
    letters = Image.new("L", (int(right) + 1, int(bottom) + 1))
    ImageDraw.Draw(letters).text((0, 0), text, fill=255, font=_FONT)
    indices = letters.point(_SMOOTH)
    image.paste(Image.frombytes("P", letters.size, indices.tobytes()), (x, y))
