"""A loaded vision encoder of transformers, which reads images: ViT and its kin, and the vision half of CLIP and SigLIP.

An image becomes the tokens that the encoder makes of it: special tokens such as `[CLS]`, and the patches row by row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from attn_cli.data.cuts import Variation, check_cuts, zeroed
from attn_cli.data.image import PatchGrid
from attn_cli.data.model import Heads, ModelInfo
from attn_cli.data.outcomes import Outcome, OutputKind, Wanted, choose_output
from attn_cli.data.patches import ImagePixels, grey, patch_tokens, thumbnail_of
from attn_cli.data.shapes import Float
from attn_cli.data.stream import Block, Eat, EatContexts, Report, Request, Source
from attn_cli.data.text import Tokens
from attn_cli.errors import InputError, ModelError, counted
from attn_cli.models import Input, LoadOptions
from attn_cli.models.capture import stream as capture
from attn_cli.models.capture.offloaded import check_weights_present, count_parameters, device_of
from attn_cli.models.capture.variations import contexts
from attn_cli.models.hf.checkpoint import Checkpoint
from attn_cli.models.hf.devices import choose_placement, on_disk, places_of
from attn_cli.models.hf.loading import faults_told, quiet, read_config, read_model
from attn_cli.models.hf.outcomes import REMEDY, run_outcomes
from attn_cli.models.hf.plain import Plain
from attn_cli.models.hf.prepared import PretrainedSource
from attn_cli.models.hf.weights import fingerprint

__all__ = ["Vision", "load_vision", "read_processor", "vision_of"]

CLS, DIST = "[CLS]", "[DIST]"


def _none(config: Any) -> tuple[str, ...]:
    del config
    return ()


def _one(config: Any) -> tuple[str, ...]:
    del config
    return (CLS,)


def _with_registers(config: Any) -> tuple[str, ...]:
    return (CLS, *(f"[REG{number}]" for number in range(config.num_register_tokens)))


SPECIAL: Mapping[str, Callable[[Any], tuple[str, ...]]] = {
    "beit": _one,
    "clip_vision_model": _one,
    "deit": lambda _: (CLS, DIST),
    "dinov2": _one,
    "dinov2_with_registers": _with_registers,
    "dinov3_vit": _with_registers,
    "ijepa": _none,
    "siglip_vision_model": _none,
    "vit": _one,
    "vit_msn": _one,
}
"""`model_type` of each family that is read -> function of its config that names the special tokens before the patches;
there are none behind them. The tests compare each with transformers' own eager attention."""

WINDOWS = "its layers attend within windows of the image, in grids that shrink from stage to stage"
REDUCED = "its layers attend to patches that are joined, in grids that shrink from stage to stage"
VIDEOS = "it reads videos, frame by frame"
REFUSED: Mapping[str, str] = {
    "donut-swin": WINDOWS,
    "hiera": WINDOWS,
    "maskformer-swin": WINDOWS,
    "mobilevit": REDUCED,
    "mobilevitv2": REDUCED,
    "pvt": REDUCED,
    "pvt_v2": REDUCED,
    "segformer": REDUCED,
    "siglip2_vision_model": "its images have no fixed grid",
    "swin": WINDOWS,
    "swin2sr": WINDOWS,
    "swinv2": WINDOWS,
    "timesformer": VIDEOS,
    "videomae": VIDEOS,
    "vit_mae": "it hides three of four patches, drawn anew for each image",
    "vivit": VIDEOS,
    "vjepa2": VIDEOS,
}
"""Families of vision models that have no map from patch to patch of one grid -> why."""
KNOWN = "Give a ViT, DeiT, DINOv2, DINOv3, BEiT, I-JEPA, CLIP or SigLIP"
PIXELS = "pixel_values"
RESIZED = "interpolate_pos_encoding"
POSITIONS: Mapping[str, Callable[[Any], bool]] = {
    "beit": lambda config: config.use_absolute_position_embeddings,
    "dinov3_vit": lambda _: False,
}
"""`model_type` of each family whose patches may have no vector for their place -> function of its config that says
whether they do; the others' have one."""


def load_vision(checkpoint: Checkpoint, options: LoadOptions) -> Vision:
    """Load the weights of a model that reads images alone, and its image processor.

    Args:
        checkpoint: the model's folder.
        options: device, number format, and what may be read and run.

    Raises:
        ModelError: the files cannot be used, or the model has no map from patch to patch.
        MemoryLimitError: the weights do not fit in memory.
    """
    _check_family(checkpoint.name, str(checkpoint.config.get("model_type")))
    placement = choose_placement(checkpoint, options)
    with quiet():
        config = read_config(checkpoint, options)
        processor = read_processor(checkpoint)
        model, _ = read_model(checkpoint, config, placement, options)
        if not placement.shared:
            torch.nn.Module.to(model, placement.device)
    return vision_of(checkpoint.name, model, processor, (*placement.notes, *on_disk(model)))


def read_processor(checkpoint: Checkpoint) -> Any:
    """Read a model's image processor.

    Raises:
        ModelError: there is none, or its settings cannot be used.
    """
    # Imported late, since only images need it.
    from transformers import AutoImageProcessor

    with (
        quiet(),
        faults_told(
            f"The image processor of {checkpoint.name} cannot be used",
            "Copy its preprocessor_config.json again, or save it again with save_pretrained",
        ),
    ):
        return AutoImageProcessor.from_pretrained(checkpoint.folder)  # type: ignore[no-untyped-call]


def _check_family(name: str, family: str) -> None:
    """Refuse a family that is known to have no map from patch to patch.

    Raises:
        ModelError: it has none.
    """
    if family in REFUSED:
        raise ModelError(f"{name} is of the family {family}: {REFUSED[family]}, so there is no one map to show", KNOWN)


def vision_of(name: str, model: PreTrainedModel, processor: Any, notes: tuple[str, ...] = ()) -> Vision:
    """Find the vision encoder in a model.

    Args:
        name: the name to show.
        model: the model, or one that has a vision encoder among its parts.
        processor: the model's image processor.
        notes: notes on how it was loaded.

    Raises:
        ModelError: it has none, or one that is not known.
    """
    encoders = [(path, part) for path, part in _encoders(model) if part.config.model_type in SPECIAL]
    if not encoders:
        for _, part in _encoders(model):
            _check_family(name, part.config.model_type)
        raise ModelError(
            f"{name} is of the family {model.config.model_type}, whose patches of an image attn does not know", KNOWN
        )
    path, body = encoders[0]
    whole = type(body.config) is type(model.config)
    said = () if whole else (f"The image part of {name} ({path}) is shown, on its own",)
    return Vision(name, model, body, processor, (*notes, *said))


def _encoders(model: PreTrainedModel) -> Iterator[tuple[str, PreTrainedModel]]:
    """Yield the models in a model that read pixels, each without the head that only its output needs."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        if not isinstance(module, PreTrainedModel) or not _reads_pixels(module):
            continue
        body: Any = module.base_model
        body = body if _reads_pixels(body) else module
        if id(body) not in seen:
            seen.add(id(body))
            yield path, body


def _reads_pixels(module: PreTrainedModel) -> bool:
    taken = inspect.signature(module.forward).parameters
    return PIXELS in taken and "input_ids" not in taken


class Vision:
    """A vision encoder of transformers and its image processor: a `Model` that reads images alone.

    Args:
        name: the name to show.
        saved: the whole model.
        body: the part of it that is run.
        processor: the image processor.
        notes: notes on how it was loaded.

    Raises:
        ModelError: weights are not in memory, or the model has no attention.
    """

    def __init__(
        self, name: str, saved: PreTrainedModel, body: PreTrainedModel, processor: Any, notes: tuple[str, ...] = ()
    ) -> None:
        check_weights_present(body)
        self.model, self._saved, self._processor, self._notes = body, saved, processor, notes
        self._special = SPECIAL[body.config.model_type](body.config)
        self.info = ModelInfo(
            name=name,
            family=body.config.model_type,
            stacks=capture.stacks(body),
            captured=capture.captured_by(body),
            dtype=str(body.dtype).removeprefix("torch."),
            device=places_of(body),
            parameters=count_parameters(body),
            positions=None,
        )

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the weights, wherever they are; see `attn_cli.models.Model`."""
        return fingerprint(self.model)

    def of_images(self) -> Vision:
        """Return this model; see `attn_cli.models.Model`."""
        return self

    def without(self, heads: Heads) -> Vision:
        """Return this model with some heads cut; see `attn_cli.models.Model`.

        Raises:
            SelectionError: the model does not have one of these heads.
        """
        check_cuts([zeroed(heads)], self.info.stacks)
        cut = copy(self)
        cut.info = replace(self.info, without=heads)
        return cut

    def prepare(self, given: Input) -> ImageSource:
        """Divide an image into patches; see `attn_cli.models.Model`.

        Raises:
            InputError: there is no image, but a text.
            ModelError: the image processor fails, or makes something else of the image than the model reads, or of
                another size where the model's positions cannot be stretched.
        """
        if given.image is None:
            raise self._reads_no_text()
        pixels, grid, notes = self._read(given.image)
        tokens = patch_tokens(grid, self._special)
        inputs = {PIXELS: pixels.to(device_of(self.model), self.model.dtype)}
        own = _pair(self.model.config.image_size)
        if pixels.shape[2:] != own:
            size, usual = " x ".join(map(str, pixels.shape[2:])), " x ".join(map(str, own))
            self._check_stretched(size, usual)
            if RESIZED in inspect.signature(self.model.forward).parameters:
                inputs[RESIZED] = torch.tensor(data=True)
            notes += (f"The model was trained on {usual} pixels, and reads {size} here: its positions are stretched",)
        source = PretrainedSource(
            model=self.info,
            source=tokens,
            target=None,
            notes=(*self._notes, *given.image.notes, *notes),
            module=self.model,
            inputs=inputs,
            plain=Plain(self._saved, lambda: inputs),
        )
        return ImageSource(source)

    def _check_stretched(self, size: str, usual: str) -> None:
        """Refuse to stretch the positions of a grid that is not square, which transformers would take for a square.

        Raises:
            ModelError: it is not square, and each of its patches has a vector of its own.
        """
        config = self.model.config
        (height, width), (high, wide) = _pair(config.image_size), _pair(config.patch_size)
        if height // high == width // wide or not POSITIONS.get(config.model_type, lambda _: True)(config):
            return
        raise ModelError(
            f"{self.info.name} was trained on {height // high} rows of {width // wide} patches, {usual} pixels, and "
            f"only the positions of a square can be stretched to {size}",
            f"Set the size in its preprocessor_config.json to {usual}",
        )

    def _read(
        self, image: ImagePixels
    ) -> tuple[Float[torch.Tensor, "1 channel height width"], PatchGrid, tuple[str, ...]]:
        """Make the model's input of an image, with the grid of its patches and notes.

        Raises:
            ModelError: the image processor fails, or makes something else of the image than the model reads.
        """
        name, config = self.info.name, self.model.config
        channels = getattr(config, "num_channels", 3)
        with (
            quiet(),
            faults_told(
                f"The image processor of {name} cannot read {image.name}", "Check its preprocessor_config.json"
            ),
        ):
            given = grey(image.pixels) if channels == 1 else image.pixels
            found = self._processor(given, return_tensors="pt", input_data_format="channels_last")
            pixels: Any = found[PIXELS]
        if not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] != channels:
            shape = tuple(getattr(pixels, "shape", ()))
            raise ModelError(
                f"The image processor of {name} makes pixels of the shape {shape}, where one image of {channels} "
                "channels is expected",
                "Check that its preprocessor_config.json belongs to the model",
            )
        high, wide = _pair(config.patch_size)
        rows, columns = pixels.shape[2] // high, pixels.shape[3] // wide
        if not rows or not columns:
            raise ModelError(
                f"The image processor of {name} makes {pixels.shape[2]} x {pixels.shape[3]} pixels, and a patch has "
                f"{high} x {wide}",
                "Check that its preprocessor_config.json belongs to the model",
            )
        covered = pixels[0, :, : rows * high, : columns * wide].permute(1, 2, 0).double().numpy()
        thumbnail = thumbnail_of(self._as_seen(covered), rows, columns)
        over = (pixels.shape[2] - rows * high, "row", "bottom"), (pixels.shape[3] - columns * wide, "column", "right")
        said = ", ".join(f"{counted(count, noun)} at the {edge}" for count, noun, edge in over if count)
        notes = (f"Pixels that make no whole patch are left out: {said}",) if said else ()
        return pixels, PatchGrid(rows, columns, image.name, thumbnail), notes

    def _as_seen(self, pixels: Float[np.ndarray, "height width channel"]) -> Float[np.ndarray, "height width 3"]:
        """Undo what the processor did to the colours: return them from 0 to 1."""
        processor = self._processor
        if getattr(processor, "do_normalize", False):
            pixels = pixels * np.asarray(processor.image_std) + np.asarray(processor.image_mean)
        pixels = pixels / (255 * processor.rescale_factor if getattr(processor, "do_rescale", False) else 255)
        if getattr(processor, "do_flip_channel_order", False):
            pixels = pixels[..., ::-1]
        return pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        """Refuse what needs a text; see `attn_cli.models.Model`.

        Raises:
            InputError: always.
        """
        raise self._reads_no_text()

    def _reads_no_text(self) -> InputError:
        """Return the error for a text."""
        return InputError(f"{self.info.name} reads images, not text", "Give an image with attn inspect --image")

    converse = plain_tokens = prepare_tokens = spell_tokens = translate = write = attribute = _refuse

    @property
    def mask_token(self) -> str | None:
        """None, since it fills in no words."""
        return None

    @property
    def unknown_token(self) -> int | None:
        """None, since it has no vocabulary."""
        return None

    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """Its last states; see `attn_cli.models.Model`."""
        return ("states",)

    def run(
        self, source: Source, variations: Sequence[Variation], wanted: Wanted | None = None
    ) -> Generator[tuple[int, Outcome]]:
        """Run the model on an image once with each variation of its attention; see `attn_cli.models.Model`.

        Raises:
            InputError: the image was prepared by another model.
            SelectionError: the model does not have a layer or head that is cut.
            ModelError: the model has no such output, or a layer cannot be cut.
            MemoryLimitError: memory ran out.
        """
        wanted = choose_output(wanted, self.outputs, self.info.name)
        return run_outcomes(self._own(source), lambda: self.model, variations, wanted, None)

    def contexts(self, source: Source, eat: EatContexts) -> None:
        """Pass each head's weighted sums of the values to a collector; see `attn_cli.models.Model`.

        Raises:
            InputError: the image was prepared by another model.
            ModelError: the model could not be run.
        """
        own = self._own(source)
        with quiet(), faults_told(f"{self.info.name} could not be run on this image", REMEDY):
            contexts(self.model, own.inputs, eat, zeroed(own.model.without))

    def _own(self, source: Source) -> PretrainedSource:
        if not isinstance(source, ImageSource) or source.run.module is not self.model:
            raise InputError(
                f"The image was not prepared by {self.info.name}", "Prepare it with the model that runs it"
            )
        return source.run


def _pair(size: Any) -> tuple[int, int]:
    """Return height and width of a size that may be one number."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return int(height), int(width)


@dataclass(frozen=True, eq=False)
class ImageSource:
    """An image prepared for a model: a `Source`, which is always streamed and runs alone."""

    run: PretrainedSource
    """The run of the model, whose positions are the patches and the special tokens."""

    @property
    def model(self) -> ModelInfo:
        """The model's shape and name."""
        return self.run.model

    @property
    def source(self) -> Tokens:
        """The special tokens and the patches."""
        return self.run.source

    @property
    def target(self) -> None:
        """None: an encoder has no other side."""
        return

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the image."""
        return self.run.notes

    def stream(self, request: Request, eat: Eat) -> Report:
        """Run the model, and pass each block of its attention to `eat`.

        Raises:
            ModelError: the model could not be run, or its positions are not these.
            ExactnessError: the captured maps are not attention weights, or fail a check against a plain run.
        """
        expected = len(self.source)

        def check(block: Block) -> None:
            if block.weights.shape[2] != expected or block.start + block.weights.shape[1] > expected:
                raise ModelError(
                    f"{self.model.name} attends between {block.weights.shape[2]} positions in layer {block.layer}, "
                    f"where {expected} are expected",
                    KNOWN,
                )
            eat(block)

        return self.run.stream(request, check)
