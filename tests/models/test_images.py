"""Images of every kind that Pillow reads, held against what Pillow itself makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from attn_cli.errors import InputError
from attn_cli.models.images import read_image
from tests.models.vision import pixels

WHOLE = Image.fromarray(pixels())


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK"])
def test_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    WHOLE.convert(mode).save(path)
    found = read_image(str(path))
    assert (found.name, found.notes) == (path.name, ())
    with Image.open(path) as image:
        np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    expected = np.rint(deep / 257).astype(np.uint8)
    for given in (tmp_path / "deep.png", deep):
        found = read_image(given).pixels
        np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, 2))


def test_clear_places_are_white(tmp_path: Path) -> None:
    clear = WHOLE.convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.array([0] * 20 + [255] * 20, np.uint8), (30, 1))))
    clear.save(tmp_path / "clear.png")
    for given in (tmp_path / "clear.png", np.asarray(clear)):
        found = read_image(given)
        assert (found.pixels[:, :20] == 255).all()
        np.testing.assert_array_equal(found.pixels[:, 20:], pixels()[:, 20:])
        assert "laid on white" in found.notes[0]


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn to the right to see it upright
    WHOLE.save(tmp_path / "turned.png", exif=exif)
    found = read_image(tmp_path / "turned.png").pixels
    assert found.shape == (40, 30, 3)
    with Image.open(tmp_path / "turned.png") as image:
        np.testing.assert_array_equal(found, np.asarray(ImageOps.exif_transpose(image)))


def test_the_first_frame_is_shown(tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "moving.gif", save_all=True, append_images=[ImageOps.mirror(WHOLE)])
    found = read_image(tmp_path / "moving.gif")
    assert found.notes == ("moving.gif has 2 frames, of which the first is shown",)
    with Image.open(tmp_path / "moving.gif") as image:
        np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64, np.uint32])
def test_eight_bits_in_wide_numbers_are_not_darkened(kind: type[np.integer[Any]]) -> None:
    np.testing.assert_array_equal(read_image(pixels().astype(kind)).pixels, pixels())


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_sixteen_bits_stay_dark(kind: str) -> None:
    assert read_image(np.full((4, 4), 255, kind)).pixels.max() == 1


@pytest.mark.parametrize("array", [np.full((2, 2), "a"), np.full((2, 2), 1j), np.full((2, 2), None)])
def test_arrays_of_no_numbers(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InputError, match="and no pixels"):
        read_image(array)


def test_arrays_and_images_in_memory() -> None:
    for given in (pixels(), WHOLE, pixels() / 255.0):
        np.testing.assert_array_equal(read_image(given).pixels, pixels())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((2, 3, 5)), "of the shape"),
        (np.zeros((0, 3, 3)), "of the shape"),
        (np.array([[-1.0, 0.5]]), "from -1 to 0.5"),
        (np.full((2, 2), np.nan), "from nan to nan"),
        (Image.new("F", (2, 2), -3.5), "from -3.5 to -3.5"),
        (Image.new("1", (1, 101)), "too narrow"),
        (7, "a int"),
    ],
)
def test_what_is_no_image(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_image(given)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "whole.png")
    monkeypatch.setattr("attn_cli.models.images.MOST_PIXELS", 999)
    with pytest.raises(InputError, match="more than is read"):
        read_image(tmp_path / "whole.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(InputError, match="more pixels than can be read safely"):
        read_image(tmp_path / "whole.png")
