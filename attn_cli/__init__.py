"""attn: what a Transformer attends to, in a terminal. Importing this package imports nothing heavy."""

from __future__ import annotations

__version__ = "0.1.0"
