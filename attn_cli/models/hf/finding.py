"""Finding a checkpoint by its name: a folder on this machine or on the hub, or an adapter and its base model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from attn_cli.errors import ModelError, UsageError
from attn_cli.models import LoadOptions
from attn_cli.models.contents import check_files, read_json
from attn_cli.models.hf.checkpoint import Adapter, Checkpoint, examine
from attn_cli.models.hf.checkpoint_files import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    PICKLED_WEIGHTS,
    TOKENIZER_SUFFIXES,
    TRANSFORMER,
    WEIGHTS,
)
from attn_cli.models.hf.missing import IncompleteError, only_pickled, without_config, without_weights

__all__ = ["find"]


def find(name: str, options: LoadOptions) -> Checkpoint:
    """Find a model's folder and check its files. Download only files that are needed and not in the cache yet.

    Args:
        name: a folder, or a name on the hub.
        options: the revision, and whether code and pickled weights are allowed.

    Raises:
        ModelError: there is no such model, or its files cannot be used.
        UsageError: a revision of a folder is asked for.
    """
    if not name.strip():
        raise ModelError("No model is named", "Give a folder that holds a model, or a name on the hub")
    try:
        place = Path(name).expanduser()
        if place.is_dir():
            if options.revision is not None:
                raise UsageError(
                    f"{name} is a folder, which has no revisions", "Leave --revision out, or name a model on the hub"
                )
            return _opened(name, place, options)
        if place.exists():
            raise ModelError(f"{name} is a file, not a folder", "Give the folder that holds the model's config.json")
    except (OSError, RuntimeError) as fault:  # no permission, a name that is too long, or `~` of an unknown user
        raise ModelError(
            f"{name} cannot be read: {getattr(fault, 'strerror', None) or fault}",
            "Give a folder that holds a model, or a name on the hub",
        ) from fault
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        files = ("config.json", ADAPTER, f"{TRANSFORMER}/config.json")
        there = {file: try_to_load_from_cache(name, file, revision=options.revision) for file in files}
    except HFValidationError as fault:
        raise ModelError(
            f"There is no folder {name}", "Give a folder that holds a model, or a name on the hub"
        ) from fault
    for file, cached in there.items():
        if not isinstance(cached, str):
            continue
        try:
            return _opened(name, Path(cached.removesuffix(file)), options)
        except IncompleteError:
            pass  # the download may have been interrupted, or made by a tool that needs fewer files
    return _opened(name, _download(name, options), options)


def _opened(name: str, folder: Path, options: LoadOptions) -> Checkpoint:
    """Check the files in a folder that holds a model, an adapter, or a model in the folder `0_Transformer`.

    Raises:
        ModelError: the files cannot be used.
        UsageError: a base model is named for a whole model.
    """
    whole = any(
        (folder / f"{file}{end}").exists() for file in (WEIGHTS, PICKLED_WEIGHTS) for end in ("", ".index.json")
    )
    if (folder / ADAPTER).exists() and not whole:
        return _adapted(name, folder, options)
    if options.base is not None:
        raise UsageError(f"--base names the model of an adapter, and {name} is a whole model", "Leave it out")
    if not (folder / "config.json").exists() and (folder / TRANSFORMER / "config.json").exists():
        return examine(name, folder / TRANSFORMER, options)
    return examine(name, folder, options)


def _adapted(name: str, folder: Path, options: LoadOptions) -> Checkpoint:
    """Check the files of an adapter, and find its base model.

    Raises:
        ModelError: they cannot be used, or PEFT is not installed.
    """
    check_files(name, folder)
    settings = read_json(name, folder / ADAPTER)
    weights, pickled = next(
        ((folder / file, pickled) for file, pickled in ADAPTER_WEIGHTS if (folder / file).exists()), (None, False)
    )
    if weights is None:
        raise IncompleteError(
            f"{name} holds the settings of an adapter and no weights (no {ADAPTER_WEIGHTS[0][0]})",
            "Give the folder that PEFT's save_pretrained wrote, or a name on the hub",
        )
    if pickled and not options.allow_pickle:
        raise only_pickled(name, weights.name)
    base = settings.get("base_model_name_or_path") if options.base is None else options.base
    if not isinstance(base, str) or not base.strip():
        raise ModelError(
            f"{name} is an adapter, and does not name the model that it is to be put on", "Name it with --base"
        )
    if find_spec("peft") is None:
        raise ModelError(
            f"{name} is an adapter, which needs peft to be put on its base model {base}",
            "Run `pip install 'attn-cli[peft]'`, then try again",
        )
    beside = folder / base
    place = str(beside) if not Path(base).is_dir() and beside.is_dir() else base
    revision = settings.get("revision") if options.base is None and not Path(place).is_dir() else None
    try:
        whole = find(place, replace(options, base=None, revision=revision if isinstance(revision, str) else None))
    except ModelError as fault:
        raise ModelError(
            f"{name} is an adapter, and its base model cannot be used: {fault.problem}",
            f"Name it with --base, if it is elsewhere. {fault.remedy}",
        ) from fault
    if whole.adapter is not None:
        raise ModelError(
            f"{name} is an adapter of another adapter ({base})", "Merge that one into its own base model first"
        )
    return replace(whole, name=name, adapter=Adapter(name, folder, weights, base))


def _download(name: str, options: LoadOptions) -> Path:
    """Download the files that are needed into the hub's cache. The hub's library shows its progress on stderr."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        there = [file.rfilename for file in HfApi().model_info(name, revision=options.revision).siblings or ()]
        wanted = _wanted(name, there, options)
        return Path(snapshot_download(name, revision=options.revision, allow_patterns=wanted))
    except GatedRepoError as fault:
        raise ModelError(
            f"The hub gives {name} only to people who have accepted its terms",
            f"Accept them at https://huggingface.co/{name}, then run `hf auth login`",
        ) from fault
    except RepositoryNotFoundError as fault:
        raise ModelError(
            f"There is no folder {name} here and no model of that name on the hub",
            "Check the name; for a private model run `hf auth login` first",
        ) from fault
    except RevisionNotFoundError as fault:
        raise ModelError(f"{name} has no revision {options.revision} on the hub", "Check the revision") from fault
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx.HTTPError) as fault:
        status = getattr(getattr(fault, "response", None), "status_code", None)
        reach = "cannot be reached" if status is None else f"answers with HTTP error {status}"
        raise ModelError(
            f"{name} is neither a folder here nor complete in the hub's cache, and the hub {reach}",
            "Give a folder that holds the model's config.json, tokenizer and safetensors files",
        ) from fault
    except json.JSONDecodeError as fault:
        raise ModelError(
            f"{name} was requested from the hub, but something else answered",
            "Check whether the network requires a login, and HF_ENDPOINT if it is set",
        ) from fault
    except OSError as fault:
        raise ModelError(
            f"{name} could not be saved in the hub's cache: {fault.strerror or fault}",
            "Make room there, or set HF_HOME to another folder",
        ) from fault


def _wanted(name: str, there: Sequence[str], options: LoadOptions) -> list[str]:
    """Choose the files on the hub that are needed."""
    top = [file for file in there if "/" not in file]
    if ADAPTER in top and "config.json" not in top:
        return [file for file in top if file.endswith((".json", ".txt", *TOKENIZER_SUFFIXES))] + [
            file for file, pickled in ADAPTER_WEIGHTS if file in top and (options.allow_pickle or not pickled)
        ]
    inner = [file.removeprefix(f"{TRANSFORMER}/") for file in there if file.startswith(f"{TRANSFORMER}/")]
    if "config.json" in inner and "config.json" not in top:
        return [f"{TRANSFORMER}/{file}" for file in _wanted(name, inner, options)]
    if "config.json" not in top:
        raise without_config(name, there)
    safe = [file for file in top if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", file)]
    pickled = [file for file in top if re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin", file)]
    if not safe and pickled and not options.allow_pickle:
        raise only_pickled(name)
    if not safe and not pickled:
        raise without_weights(name, there)
    weights = safe or (pickled if options.allow_pickle else [])
    suffixes = (".json", ".txt", ".tokenizer", *TOKENIZER_SUFFIXES)
    code = [file for file in there if file.endswith(".py")] if options.trust_remote_code else []
    return [file for file in top if file.endswith(suffixes)] + weights + code
