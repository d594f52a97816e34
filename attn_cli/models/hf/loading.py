"""Reading a checkpoint's config, tokenizer and weights with transformers, without its output on the terminal."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from logging import NullHandler, getLogger
from pickle import UnpicklingError
from shutil import rmtree
from typing import Any
from weakref import finalize

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    initialization,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_MAPPING,
)
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.utils import logging

from attn_cli.data.selection import Kind
from attn_cli.errors import AttnError, MemoryLimitError, ModelError, enumerated, is_panic, quoted
from attn_cli.models import LoadOptions
from attn_cli.models.capture.stream import LOAD_WITH
from attn_cli.models.compiled import library_fault
from attn_cli.models.hf.checkpoint import Checkpoint
from attn_cli.models.hf.checkpoint_files import brings_tokenizer_code
from attn_cli.models.hf.devices import Placement, offload_folder
from attn_cli.models.hf.missing import needs_code
from attn_cli.models.hf.packages import importable, missing_packages, needs_gpu, told
from attn_cli.models.hf.quantized import bars_unheard, check_method, unpack
from attn_cli.models.hf.tokenizer_file import check_tokenizer_file
from attn_cli.system.silence import compiled_unheard

__all__ = [
    "class_with_head",
    "faults_told",
    "quiet",
    "read_config",
    "read_model",
    "read_tokenizer",
]

AFTER_ATTENTION = frozenset(
    {"pooler", "lm_head", "cls", "classifier", "classification_head", "qa_outputs", "final_logits_bias"}
)
"""Names of modules that come after the last attention layer: no attention weight depends on them."""

NO_HEAD = frozenset({"final_logits_bias", "pooler", "seq_relationship"})
"""Names of modules around a model's body that do not choose words, or can do without saved weights."""
BIASES: Mapping[str, str] = {"marian": "final_logits_bias"}
"""Families that learn a bias of the logits, which transformers sets to 0 without a word if it was not saved."""
TOKENIZER_FILES = ("tokenizer", "vocab", "special_tokens_map", "added_tokens", "word_")
"""Prefixes of the names of JSON files that tokenizers are read from (`word_` is RoCBert's)."""
SENTENCEPIECE = "tokenizer.model"
"""Name of a tokenizer's file in SentencePiece's own form, from which transformers makes a `tokenizer.json`."""
SENSES = re.compile(r"^(pixel|input_(values|features)|audio|speech)")
"""Names of inputs that hold images or sound."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep all output of transformers, and of the compiled libraries below it, off the terminal.

    Anything that a user must know becomes a note or an error.
    """
    # (Setting their levels would do as well, but each change clears the caches of all loggers.)
    loggers, bars = (logging.get_logger("transformers"), getLogger("accelerate")), logging.is_progress_bar_enabled()
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [NullHandler()], False
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings(), compiled_unheard():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def faults_told(problem: str, remedy: str = "", passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn any exception of transformers or tokenizers into an error of one sentence; attn's own errors pass through.

    These libraries raise nearly every exception type, down to a bare `Exception` (tokenizers), for files that do not
    fit each other or need a missing package, so the context may hold only calls to them.

    Args:
        problem: what could not be done; the library's message follows after a colon.
        remedy: what to do next.
        passing: other exceptions to pass through.

    Raises:
        ModelError: the library raised an exception.
        MemoryLimitError: memory ran out.
    """
    try:
        yield
    except AttnError:
        raise
    except passing:
        raise
    except BaseException as fault:
        if not isinstance(fault, Exception) and not is_panic(fault):
            raise
        said = str(fault)
        if isinstance(fault, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in said:
            raise MemoryLimitError(
                f"{problem}: memory ran out", "Use --dtype bfloat16, a shorter text or a smaller model"
            ) from fault
        packages = missing_packages(fault)
        if packages:
            need, remedy = told(packages)
            raise ModelError(f"{problem}: {need}", remedy) from fault
        if needs_gpu(fault):
            remedy = "Give a checkpoint that is not quantized, or run it where torch finds such a GPU"
        raise library_fault(fault, problem, remedy) from fault


def read_config(checkpoint: Checkpoint, options: LoadOptions) -> PreTrainedConfig:
    """Read the model's config.

    Raises:
        ModelError: transformers does not know the family or cannot use the file, or the model needs code of its own.
    """
    family = checkpoint.config.get("model_type")
    if family not in CONFIG_MAPPING and not options.trust_remote_code:
        if "auto_map" in checkpoint.config:
            raise needs_code(checkpoint.name)
        raise ModelError(
            f"{checkpoint.name} is of a kind ({family}) that transformers {transformers.__version__} does not know",
            "Check model_type in its config.json, or install a newer transformers",
        )
    with faults_told(f"config.json of {checkpoint.name} cannot be used", "Check it, or copy it again"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            checkpoint.folder, trust_remote_code=options.trust_remote_code
        )
    return config


def read_tokenizer(checkpoint: Checkpoint, config: PreTrainedConfig, options: LoadOptions) -> PreTrainedTokenizerBase:
    """Read the model's tokenizer with `AutoTokenizer`.

    It costs little beside the model, and in many families it differs from the bare `tokenizer.json`.

    Raises:
        ModelError: the tokenizer's files cannot be used, or it needs code of its own.
    """
    folder = checkpoint.tokenizer_folder
    remedy = "Copy the tokenizer's files again, or save them again with save_pretrained"
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith(TOKENIZER_FILES):  # there may be files for other versions too
            check_tokenizer_file(checkpoint.name, path, remedy)
    with faults_told(f"The tokenizer of {checkpoint.name} cannot be used", remedy):
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, config=config, trust_remote_code=options.trust_remote_code
            )
        except Exception as fault:
            # Without the folder's code, transformers may take another class, and fail for lack of that class's files.
            if not options.trust_remote_code and brings_tokenizer_code(checkpoint.name, folder):
                raise needs_code(f"The tokenizer of {checkpoint.name}") from fault
            # Without protobuf, transformers takes the file for one of another library, and asks for that.
            if (folder / SENTENCEPIECE).exists() and not importable("google.protobuf"):
                need, install = told(("protobuf",))
                raise ModelError(
                    f"The tokenizer of {checkpoint.name} is in {SENTENCEPIECE} alone: {need}", install
                ) from fault
            raise
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        kind = type(tokenizer).__name__
        raise ModelError(f"The tokenizer of {checkpoint.name} cannot be used: {kind} is more than a tokenizer", remedy)
    longest: Any = tokenizer.model_max_length
    if not isinstance(longest, int | float):
        raise ModelError(
            f"tokenizer_config.json of {checkpoint.name}: model_max_length must be a number, and is "
            f"{quoted(str(longest))}",
            remedy,
        )
    return tokenizer


def read_model(
    checkpoint: Checkpoint,
    config: PreTrainedConfig,
    placement: Placement,
    options: LoadOptions,
    model_class: type[PreTrainedModel] | None = None,
) -> tuple[PreTrainedModel, bool]:
    """Load the model with its weights, on the CPU, or where they are shared, where each has its place.

    Args:
        checkpoint: the model's folder.
        config: the model's config.
        placement: where its weights are to be held, and in which number format.
        options: what may be read and run.
        model_class: the class to load; by default the one that the weights were saved from. Of shared weights, this is
            the second model, for its head, and all of it stays on disk.

    Returns:
        The model; and whether the weights of its language model head are complete.

    Raises:
        ModelError: the model reads no text, or its weights are missing, incomplete or do not fit the config.
        MemoryLimitError: memory ran out.
    """
    problem = f"{checkpoint.name} cannot be loaded"
    quantization = getattr(config, "quantization_config", None)
    check_method(checkpoint.name, quantization, AUTO_QUANTIZER_MAPPING)
    remedy = "Check that the folder's files belong together"
    if placement.shared:  # accelerate does not know every family's modules
        remedy = "Leave --device balanced out, or check that the folder's files belong together"
    with faults_told(problem, remedy), _pickles_told(checkpoint, problem):
        chosen: Any = model_class or _model_class(checkpoint, config, options)
        _check_size(checkpoint, config, chosen)
        read = chosen.from_pretrained
        if issubclass(chosen, PreTrainedModel):
            # Qwen2.5-Omni's own method adds its voices, and fails where loading info is asked for.
            read = partial(vars(PreTrainedModel)["from_pretrained"].__func__, chosen)
        sharing = offload_folder(checkpoint.name) if placement.shared else nullcontext()
        with bars_unheard(quantization), sharing as folder:
            shared = {} if folder is None else placement.options(folder, all_on_disk=model_class is not None)
            model, found = read(
                checkpoint.folder,
                config=config,
                dtype="auto" if placement.dtype is None else placement.dtype,
                attn_implementation=LOAD_WITH,
                use_safetensors=not checkpoint.pickled,
                trust_remote_code=options.trust_remote_code,
                ignore_mismatched_sizes=True,  # they are listed in `found`, and refused below
                output_loading_info=True,
                **shared,
            )
        if folder is not None:
            finalize(model, rmtree, folder, ignore_errors=True)
        unpack(model)
    for key, saved, expected in sorted(found["mismatched_keys"]):
        raise ModelError(
            f"The weights of {checkpoint.name} do not fit its config.json: {key} is saved as {tuple(saved)}, but "
            f"{tuple(expected)} is expected",
            "Copy the config.json that belongs to the weights",
        )
    body = "" if model.base_model is model else f"{model.base_model_prefix}."
    missing = sorted(
        key for key in found["missing_keys"] if key.startswith(body) and AFTER_ATTENTION.isdisjoint(key.split("."))
    )
    if missing:
        raise ModelError(
            f"{checkpoint.name} lacks {len(missing)} of the weights of a {type(model).__name__}, such as {missing[0]}",
            "Check that its config.json belongs to its weights: nothing is shown of weights that would be made up",
        )
    loaded: PreTrainedModel = model.eval()
    others = (key for key in found["missing_keys"] if NO_HEAD.isdisjoint(key.split(".")))
    # Of a model that has no module for its body, its head's names tell.
    lacks_head = any(not (key.startswith(body) and AFTER_ATTENTION.isdisjoint(key.split("."))) for key in others)
    bias = BIASES.get(config.model_type)
    if bias is not None:  # of a pickle: it is there if the class was saved that has it
        lacks_head |= model_class is not None if checkpoint.names is None else bias not in checkpoint.names
    return loaded, not lacks_head


def class_with_head(config: PreTrainedConfig, kinds: Container[Kind]) -> type[PreTrainedModel] | None:
    """Return the class of a family that has a layer which chooses words; None if there is none.

    Args:
        config: the model's config.
        kinds: the kinds of attention that the model has.
    """
    if "cross" in kinds:
        mapping = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    else:
        mapping = MODEL_FOR_CAUSAL_LM_MAPPING if "decoder" in kinds else MODEL_FOR_MASKED_LM_MAPPING
    found: Any = mapping.get(type(config), None)
    chosen: type[PreTrainedModel] | None = found[0] if isinstance(found, list | tuple) else found
    return chosen


ROOM = 10_000_000
"""Most numbers that a model may hold besides its saved weights, such as computed tables of positions."""
TABLES = 2**32
"""Most bytes that its buffers may take: older decoders hold a mask of positions x positions for each layer."""


def _check_size(checkpoint: Checkpoint, config: PreTrainedConfig, model_class: Any) -> None:
    """Make sure that the config's model is about as large as the saved weights, before memory is taken for it.

    transformers would fill in weights that are missing, or of another shape, with random numbers.

    Raises:
        ModelError: the model is far larger than the saved weights.
    """
    saved = checkpoint.saved_bytes if checkpoint.pickled else checkpoint.parameters
    if saved is None or "quantization_config" in checkpoint.config or not issubclass(model_class, PreTrainedModel):
        return
    # (The first versions of transformers 5 have no `meta_device_safe_creation_ops`.)
    copied = deepcopy(config)
    # The config may name an attention implementation that is not installed, and that is not run.
    copied._attn_implementation = LOAD_WITH  # noqa: SLF001 (there is no other way)
    safe = getattr(initialization, "meta_device_safe_creation_ops", nullcontext)
    with torch.device("meta"), initialization.no_init_weights(), safe():
        model = model_class(copied)
        model.tie_weights()  # a vocabulary that is shared by both sides and the head is saved once (mT5)
    wanted = sum(part.numel() for part in model.parameters())
    tables = sum(part.nbytes for part in model.buffers())  # masks of positions x positions (GPT-Neo), not all saved
    # Shared weights may be saved once, and a head, which is no larger than the vocabulary, may be left out.
    if wanted > 2 * saved + ROOM or tables > TABLES:
        wanted += sum(part.numel() for part in model.buffers())
        raise ModelError(
            f"config.json of {checkpoint.name} does not fit its weights: it describes a model of {wanted:,} numbers, "
            f"and they are {saved:,}",
            "Copy the config.json that belongs to the weights",
        )


@contextmanager
def _pickles_told(checkpoint: Checkpoint, problem: str) -> Iterator[None]:
    """Report a damaged or unsafe pickle, without torch's advice to let it run code."""
    try:
        yield
    except (UnpicklingError, EOFError, KeyError) as fault:  # KeyError: a byte that is no pickle opcode
        if not checkpoint.pickled:
            raise
        raise ModelError(
            f"{problem}: its pickle is damaged, or holds more than weights, which is not read even with --allow-pickle",
            "Save the model again with save_pretrained, which writes safetensors",
        ) from fault


def _model_class(checkpoint: Checkpoint, config: PreTrainedConfig, options: LoadOptions) -> Any:
    """Choose the class that the weights were saved from; else the family's plain model."""
    brought = checkpoint.config.get("auto_map", {}) if options.trust_remote_code else {}
    for name in ("AutoModel", "AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM"):
        if name in brought:
            return getattr(transformers, name)
    for name in config.architectures or ():
        named = getattr(transformers, name, None)
        if isinstance(named, type) and issubclass(named, PreTrainedModel) and named.config_class is type(config):
            return named if checkpoint.images else _reads_text(checkpoint, named)
    plain: Any = MODEL_MAPPING.get(type(config), None)
    if plain is None:
        raise ModelError(
            f"transformers has no plain model of the kind {config.model_type}", "Give a model that reads text"
        )
    chosen = plain[0] if isinstance(plain, list | tuple) else plain
    return chosen if checkpoint.images else _reads_text(checkpoint, chosen)


def _reads_text(checkpoint: Checkpoint, model_class: type[PreTrainedModel]) -> type[PreTrainedModel]:
    modalities, main = model_class.input_modalities, model_class.main_input_name
    read = [modalities] if isinstance(modalities, str) else list(modalities)
    taken = inspect.signature(model_class.forward).parameters
    # A model that takes tokens beside images (CLIP) reads text, whatever modalities it declares.
    if "text" in read and "input_ids" in (main, *taken):
        return model_class
    if "input_ids" in taken and any(SENSES.search(name) for name in taken):
        return model_class
    if "input_ids" not in (main, *taken) and not SENSES.search(
        main
    ):  # Perceiver's `inputs` may be tokens, or anything else
        raise ModelError(
            f"{checkpoint.name} takes what it reads as {main}, and attn gives a model a text's tokens as input_ids",
            "Give a model that takes these",
        )
    others = [modality for modality in read if modality != "text"]
    takes = enumerated(others) if others else main
    raise ModelError(f"{checkpoint.name} does not read text but {takes}", "Give a model that reads text")
