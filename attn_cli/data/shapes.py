"""Array types with named dimensions, for signatures: `Float[np.ndarray, "head query key"]`.

They cost a user nothing: jaxtyping takes 0.1 s to import, so only type checkers and the tests (which set
`ATTN_CHECK_SHAPES` before the first import and check every call against its signature) import it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__all__ = ["Bool", "Float", "Int", "UInt8"]

if TYPE_CHECKING or "ATTN_CHECK_SHAPES" in os.environ:
    from jaxtyping import Bool, Float, Int, UInt8
else:

    class _Named:
        """A stand-in for jaxtyping's types: `Float[array type, "dimension names"]` is just the array type."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float = Int = UInt8 = _Named
