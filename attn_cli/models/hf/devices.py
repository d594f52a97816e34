"""The devices that a model is run on: which there are, what fits on them, and what is left on disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from attn_cli.errors import MemoryLimitError, ModelError, counted, enumerated
from attn_cli.models import LoadOptions
from attn_cli.models.capture.offloaded import device_of, free_on, is_offloaded
from attn_cli.models.hf.checkpoint import Checkpoint
from attn_cli.system.cache import cache_folder
from attn_cli.system.memory import available, gigabytes

__all__ = ["Placement", "choose_device", "choose_placement", "offload_folder", "on_disk", "places_of"]

GPU_SHARE = 0.9
"""The share of a GPU's free memory that weights may take; the rest is for what is computed there."""
MEMORY_SHARE = 0.75
"""The same share of the machine's free memory, which other programs need too."""
ON_DISK = (
    "Some of the weights stay on disk, and are read each time that they are needed: it takes longer, and the figures "
    "are the same"
)
"""Note on a model that does not fit in memory."""

_folders = count()


@dataclass(frozen=True)
class Placement:
    """The devices that hold a model's weights, and their number format."""

    device: torch.device
    """The device to hold them on; the first to compute if they are shared."""
    dtype: torch.dtype | None
    """None for that of the saved weights."""
    shared: bool = False
    """True to share the weights among all GPUs, memory and disk."""
    notes: tuple[str, ...] = ()

    def options(self, folder: Path, *, all_on_disk: bool = False) -> dict[str, Any]:
        """Return the arguments of `from_pretrained` that share the weights.

        Args:
            folder: the folder for weights that cannot be read from the checkpoint's own files: those of pickles, and
                experts that transformers joins.
            all_on_disk: whether to leave them all on disk.
        """
        rooms: dict[int | str, int] = {"cpu": 0 if all_on_disk else int(MEMORY_SHARE * available())}
        if not all_on_disk and self.device.type == "cuda":
            gpus = range(torch.cuda.device_count())
            rooms = {**{gpu: int(GPU_SHARE * torch.cuda.mem_get_info(gpu)[0]) for gpu in gpus}, **rooms}
        elif not all_on_disk and self.device.type == "mps":  # the GPU's memory is the machine's
            rooms = {"mps": rooms["cpu"]}
        return {"device_map": "balanced", "max_memory": rooms, "offload_folder": folder}


def choose_placement(checkpoint: Checkpoint, options: LoadOptions) -> Placement:
    """Choose the device and the number format to hold a checkpoint's weights in.

    Raises:
        ModelError: torch finds no such device, or the weights cannot be shared among several.
        MemoryLimitError: the weights would not fit on the device.
    """
    device, shared = choose_device(options.device), options.device == "balanced"
    if shared and checkpoint.adapter is not None:
        raise ModelError(
            f"--device balanced shares the weights of whole models, and {checkpoint.name} is an adapter",
            "Leave it out, or merge the adapter with PEFT's merge_and_unload and give what that saves",
        )
    if "quantization_config" in checkpoint.config:
        return Placement(device, None, shared)
    saved = checkpoint.saved_dtype
    if options.dtype != "auto":
        name: str | None = options.dtype
    elif device.type == "cpu":
        name = "float32"
    else:  # the format that it was trained in; a pickle's is not known before it is read
        name = "float32" if saved == "float64" and device.type == "mps" else saved
    free = free_on(device)
    notes: tuple[str, ...] = ()
    needed = checkpoint.bytes_in(name or "float32")
    if options.dtype == "auto" and saved is not None and checkpoint.bytes_in(saved) < needed and needed > free:
        notes = (f"The model is run in {saved}, as it was saved: in float32 it would not fit in memory",)
        name, needed = saved, checkpoint.bytes_in(saved)
    if needed > free and not shared:
        where = "" if device.type == "cpu" else f" on {device}"
        raise MemoryLimitError(
            f"The weights of {checkpoint.name} take {gigabytes(needed)} in {name or 'their number format'}, and "
            f"{gigabytes(free)} is free{where}",
            _what_fits(checkpoint, name, device, free),
        )
    return Placement(device, None if name is None else getattr(torch, name), shared, notes)


def _what_fits(checkpoint: Checkpoint, name: str | None, device: torch.device, free: int) -> str:
    """Advise on what to do with a checkpoint that does not fit on a device."""
    half = checkpoint.bytes_in("bfloat16")
    ways = []
    if name == "float32" and half <= free:
        ways.append(f"--dtype bfloat16, which takes {gigabytes(half)}")
    if device.type == "cuda" and checkpoint.bytes_in("float32") <= (memory := available()):
        ways.append(f"--device cpu, where {gigabytes(memory)} is free")
    if checkpoint.adapter is None:
        ways.append("--device balanced, which leaves on disk what does not fit")
    return f"Use {', or '.join(ways)}" if ways else "Use a smaller model"


def choose_device(name: str) -> torch.device:
    """Return the device of that name; for `auto` and `balanced`, the best there is.

    Raises:
        ModelError: torch finds no such device.
    """
    kind, _, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind in ("auto", "balanced"):
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if not there[kind]:
        raise ModelError(f"torch finds no {kind} device on this machine", "Use --device cpu")
    if number and int(number) >= (devices := torch.cuda.device_count()):
        last = f" to cuda:{devices - 1}" if devices > 1 else ""
        raise ModelError(
            f"torch finds {counted(devices, 'cuda device')} on this machine, and no {name}",
            f"Use --device cuda:0{last}",
        )
    return torch.device(name)


def places_of(model: PreTrainedModel) -> str:
    """Name the devices that hold a model: `cpu`, `cuda:1`, or `cuda:0, cpu and disk`."""
    shared = getattr(model, "hf_device_map", None)
    if shared is None or (not is_offloaded(model) and len(set(shared.values())) == 1):
        device = device_of(model)
        return str(device) if device.index else device.type
    named = [f"cuda:{place}" if isinstance(place, int) else str(place) for place in shared.values()]
    places = list(dict.fromkeys((str(device_of(model)), *named)))
    return enumerated(places)


def on_disk(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the note on a model some of whose weights stay on disk; none for others."""
    return (ON_DISK,) if "disk" in getattr(model, "hf_device_map", {}).values() else ()


@contextmanager
def offload_folder(name: str) -> Iterator[Path]:
    """Name a folder for weights that are offloaded, which is removed if they cannot be.

    It is in the user's cache, since the system's folder for temporary files may be held in memory. Folders of processes
    that were killed are removed.

    Args:
        name: the model, as the user named it.

    Raises:
        ModelError: the folder cannot be written, or there is no room.
    """
    home = cache_folder("offloaded")
    machine = platform.node() or "here"
    for left in home.glob(f"{machine}-*-*"):
        process = left.name.removeprefix(f"{machine}-").partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    folder = home / f"{machine}-{os.getpid()}-{next(_folders)}"
    try:
        yield folder
    except (OSError, SafetensorError) as fault:
        shutil.rmtree(folder, ignore_errors=True)
        # Other files that cannot be read or written are no concern of this folder.
        full = "No space left" in str(fault) or "quota" in str(fault)
        if full or (isinstance(fault, OSError) and str(home) in str(fault.filename)):
            raise ModelError(
                f"What does not fit in memory of {name} could not be saved in {home}: "
                f"{getattr(fault, 'strerror', None) or 'no space is left'}",
                "Make room there, or set XDG_CACHE_HOME to another folder",
            ) from fault
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
