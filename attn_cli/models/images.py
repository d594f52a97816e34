"""Reading of images with Pillow, which is imported when the first is read."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_cli.data.patches import ImagePixels
from attn_cli.data.shapes import UInt8
from attn_cli.errors import InputError, ModelError, shortened
from attn_cli.system.memory import require

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["read_image"]

NAME = "image"
"""The name of an image that comes from no file."""
PIPED = "standard input"
"""The name of an image that is piped in."""
MOST_PIXELS = 2**27
"""Most pixels of an image that is read; no camera makes so many, and no model reads a hundredth of them."""
NARROWEST = 100
"""Most times that an image may be longer than it is wide: a processor that scales the shorter side makes it huge."""
REMEDY = "Give a PNG, a JPEG, or another image that Pillow reads"
SMALLER = "Scale it down, or cut out what is to be shown"


def read_image(given: object) -> ImagePixels:
    """Read an image as red, green and blue: the first frame, turned as its EXIF data say, on white where it is clear.

    Args:
        given: the path of a file, the bytes of one, an image of Pillow, or a NumPy array: [height, width] or [height,
            width, channel], 8-bit, 16-bit, or numbers from 0 to 1.

    Raises:
        ModelError: Pillow is not installed.
        InputError: there is no such file, it is not an image, or it is damaged, or too large.
        MemoryLimitError: it does not fit in memory.
    """
    if isinstance(given, np.ndarray):
        return _from_array(given)
    if find_spec("PIL") is None:
        raise ModelError("Reading images needs Pillow", "Run `pip install 'attn-cli[images]'`, then try again")
    from PIL import Image

    if isinstance(given, Image.Image):
        name = getattr(given, "filename", "")
        return _from_image(given, Path(name).name if isinstance(name, str) and name else NAME)
    if isinstance(given, bytes):
        return _from_file(BytesIO(given), PIPED, PIPED)
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        name = shortened(str(path))
        if path.is_dir():
            raise InputError(f"{name} is a folder", "Give the file of one image")
        return _from_file(path, name, path.name)
    raise InputError(
        f"An image cannot be made of a {type(given).__name__}", "Give a path, an image of Pillow, or a NumPy array"
    )


def _from_file(file: Path | BytesIO, name: str, called: str) -> ImagePixels:
    """Read an image of a file, or of its bytes.

    Args:
        file: the file.
        name: its name in messages.
        called: the name to show.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return _from_image(image, called)
    except UnidentifiedImageError as fault:
        raise InputError(f"{name} is not an image", REMEDY) from fault
    except Image.DecompressionBombError as fault:
        raise InputError(f"{name} has more pixels than can be read safely", SMALLER) from fault
    except FileNotFoundError as fault:
        raise InputError(f"There is no file {name}", "Check the path of the image") from fault
    # Pillow's readers raise these for damaged files of one format or another.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        raise InputError(f"{name} cannot be read: {shortened(reason)}", REMEDY) from fault


def _from_image(image: Image.Image, name: str) -> ImagePixels:
    from PIL import Image, ImageOps

    _check_size(*image.size, name)
    notes: tuple[str, ...] = ()
    if (frames := getattr(image, "n_frames", 1)) > 1:
        image.seek(0)
        notes = (f"{name} has {frames:,} frames, of which the first is shown",)
    require(8 * image.width * image.height, name, SMALLER)
    turned: Any = ImageOps.exif_transpose(image)
    if turned.mode in ("I", "F") or turned.mode.startswith("I;16"):
        return ImagePixels(name, _spread(np.asarray(turned), name), notes)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        if turned.getchannel("A").getextrema()[0] < 255:
            notes += (f"{name} is clear in places, which are laid on white",)
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
    return ImagePixels(name, np.asarray(turned.convert("RGB")), notes)


def _from_array(array: np.ndarray) -> ImagePixels:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise InputError(
            f"An array of the shape {array.shape} is not an image", "Give it as [height, width, 3], or [height, width]"
        )
    _check_size(array.shape[1], array.shape[0], "The array")
    notes: tuple[str, ...] = ()
    pixels = _spread(array, "The array")
    if array.ndim == 3 and array.shape[2] == 4:
        clear = pixels[..., 3:] / 255
        if (clear < 1).any():
            notes = ("The array is clear in places, which are laid on white",)
        pixels = np.rint(pixels[..., :3] * clear + 255 * (1 - clear)).astype(np.uint8)
    return ImagePixels(NAME, np.ascontiguousarray(pixels), notes)


def _spread(array: np.ndarray, name: str) -> UInt8[np.ndarray, "height width channel"]:
    """Convert an image of any type of number to 8 bits; one without colours gets three equal channels."""
    if array.ndim == 2:
        array = array[..., None]
    kind = array.dtype.kind
    if kind not in "biuf":
        raise InputError(f"{name} holds {array.dtype}, and no pixels", "Give it as 8-bit, as 16-bit, or from 0 to 1")
    least, most = float(array.min()), float(array.max())
    if array.dtype == np.bool_ or (kind == "f" and least >= 0 and most <= 1):
        array = array * 255.0
    elif kind in "iu" and least >= 0 and most <= 65535 and array.dtype.itemsize > 1:
        # What is kept in more bytes than it needs, as int64, is 8-bit; a dark image of 16 bits is uint16.
        array = array / 257.0 if most > 255 or array.dtype.newbyteorder("=") == np.uint16 else array
    elif array.dtype != np.uint8:
        raise InputError(
            f"{name} has pixels from {least:g} to {most:g}, whose black and white are not known",
            "Give it as 8-bit, as 16-bit, or with numbers from 0 to 1",
        )
    eight: UInt8[np.ndarray, "height width channel"] = np.rint(array).astype(np.uint8)
    return np.repeat(eight, 3, axis=2) if eight.shape[2] == 1 else eight


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(f"{name} has {width:,} x {height:,} pixels, which is more than is read", SMALLER)
    if max(width, height) > NARROWEST * min(width, height):
        raise InputError(
            f"{name} has {width:,} x {height:,} pixels, which is too narrow for a model", "Cut out what is to be shown"
        )
