"""What every test stands on: shapes are checked at every call, and nothing reaches for the network."""

from __future__ import annotations

import os

os.environ["ATTN_CHECK_SHAPES"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from jaxtyping import install_import_hook

install_import_hook("attn_cli", "beartype.beartype")
