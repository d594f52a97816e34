"""Checkpoints in GGUF, the format of llama.cpp: converted once into a folder that transformers reads, and kept.

transformers computes the weights from their quantized blocks, in float32. They are saved as they are, so that the
model is the one that transformers would load from the file itself.
"""

from __future__ import annotations

import shutil
from contextlib import redirect_stderr
from glob import escape
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attn_cli.errors import ModelError
from attn_cli.models import LoadOptions
from attn_cli.models.hf.checkpoint import Checkpoint, examine
from attn_cli.system.cache import cache_folder
from attn_cli.system.memory import require

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["find_gguf"]

SUFFIX = ".gguf"
MAGIC = b"GGUF"
PACKAGE = "gguf"
"""The package that transformers reads the format with."""
FORM = 1
"""The number of the form in which folders are kept; a new one makes all of them anew."""


def find_gguf(name: str, options: LoadOptions) -> Checkpoint | None:
    """Return the checkpoint of a GGUF file; None if the name is not that of one.

    Raises:
        ModelError: the file cannot be read, packages are missing, or there is no room for what it is converted to.
        MemoryLimitError: the weights do not fit in memory.
    """
    if not name.endswith(SUFFIX):
        return None
    try:
        path = Path(name).expanduser()
        found = path.is_file()
    except (OSError, RuntimeError):  # no permission, or `~` of an unknown user, which looking for a folder reports
        return None
    return examine(name, _converted(name, path), options) if found else None


def _converted(name: str, path: Path) -> Path:
    """Return the folder of a GGUF file's model, made in the user's cache where it is not there yet.

    The start of a folder's name says which file it was made from, by its path; the end says in which state that file
    was (its size and time of change), and what converted it. Of one file, only the latest folder is kept.

    Args:
        name: the file, as the user named it.
        path: the file.

    Raises:
        ModelError: the file cannot be read, packages are missing, or there is no room for the folder.
        MemoryLimitError: the weights do not fit in memory.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
        state = path.stat()
    except OSError as fault:
        raise ModelError(f"{name} cannot be read: {fault.strerror}", "Look at who may read the file") from fault
    if magic != MAGIC:
        raise ModelError(f"{name} is not in GGUF: its first bytes are others", "Copy or download it again")
    path = path.resolve()
    made_by = f"{FORM} {version('transformers')}"
    folder = cache_folder("gguf") / f"{path.stem}-{_digest(path)}-{_digest(state.st_size, state.st_mtime_ns, made_by)}"
    if not folder.is_dir():
        if find_spec(PACKAGE) is None:
            raise ModelError(
                f"{name} is in GGUF, which needs {PACKAGE} to be read",
                "Run `pip install 'attn-cli[gguf]'`, then try again",
            )
        _keep(name, path, folder)
    return folder


def _digest(*parts: object) -> str:
    return sha256(" ".join(map(str, parts)).encode()).hexdigest()[:8]


def _keep(name: str, path: Path, folder: Path) -> None:
    """Convert a file into a folder, which appears only when it is complete; of several processes, one does it.

    Raises:
        ModelError: the file cannot be read, or there is no room for the folder.
        MemoryLimitError: the weights do not fit in memory.
    """
    from filelock import FileLock

    file, _, _ = folder.name.rpartition("-")
    making = folder.with_name(f".{file}.making")  # a process that was killed may have left some of it
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{file}.lock")):
            if folder.is_dir():  # the process that this one waited for has made it
                return
            shutil.rmtree(making, ignore_errors=True)
            try:
                _convert(name, path, making)
                making.replace(folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            for older in set(folder.parent.glob(f"{escape(file)}-*")) - {folder}:
                shutil.rmtree(older, ignore_errors=True)
    except OSError as fault:
        raise ModelError(
            f"{name} could not be saved in {folder.parent}: {fault.strerror or fault}",
            "Make room there, or set XDG_CACHE_HOME to another folder",
        ) from fault


def _convert(name: str, path: Path, folder: Path) -> None:
    """Write a GGUF file's model into a folder.

    Raises:
        ModelError: the file cannot be read.
        MemoryLimitError: the weights do not fit in memory.
        OSError: the folder cannot be written.
    """
    # Imported late: only the first start with a file needs them.
    import torch
    import transformers
    from gguf import GGUFReader

    from attn_cli.models.hf.loading import faults_told, quiet

    problem = f"{name} cannot be read as GGUF"
    remedy = "Give a file of an architecture that transformers reads from GGUF"
    with quiet(), redirect_stderr(StringIO()), faults_told(problem, remedy):  # a bar of tqdm's own is on stderr
        numbers = sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
        require(8 * numbers, f"Reading {name}", "Give a smaller model")
        source: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
        config = transformers.AutoConfig.from_pretrained(**source)
        model: Any = _class_of(config).from_pretrained(**source, dtype=torch.float32)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(**source)
        # The weights are plain numbers now, and transformers saves no quantized model.
        model.hf_quantizer = None
        vars(model.config).pop("quantization_config", None)
    with quiet(), faults_told(problem, passing=(OSError,)):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _class_of(config: PreTrainedConfig) -> Any:
    """Return the class that keeps the layer that chooses words, where the family has one."""
    import transformers
    from transformers.models.auto import modeling_auto

    for mapping, auto in (
        (modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, transformers.AutoModelForSeq2SeqLM),
        (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, transformers.AutoModelForCausalLM),
    ):
        if config.model_type in mapping:
            return auto
    return transformers.AutoModel
