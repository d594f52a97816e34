"""The masks of one run: as small as the model allows, and left out where a layer is known to be causal without one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.masking_utils import eager_mask, sdpa_mask
from transformers.modeling_utils import PreTrainedModel

from attn_cli.models.capture.anatomy import Anatomy, Place

__all__ = ["Masks"]


class Masks:
    """The maker of the masks of one run.

    Args:
        model: the model that runs.
        anatomy: its attention layers.
    """

    def __init__(self, model: PreTrainedModel, anatomy: Anatomy) -> None:
        self.flash = bool(model._supports_sdpa)  # noqa: SLF001 - there is no public name
        """True if the model supports SDPA."""
        self._plain = self.flash or bool(model._supports_flex_attn)  # noqa: SLF001
        """True if the model passes on its masks unchanged, so they need not be floats."""
        self._two_sided = bool(model.config.is_encoder_decoder)
        self._leaves_out = self.flash and _tells_causal_layers(anatomy, model.config)
        """True if causal masks may be left out, because it is known which layers without a mask are causal."""
        self._left_out = False

    def make(self, **options: Any) -> torch.Tensor | None:
        """Make the mask that the model asks for, with the options of `transformers.masking_utils.sdpa_mask`."""
        if not self._plain:
            return eager_mask(**options)
        causal = self._leaves_out and options.get("allow_is_causal_skip", True)
        # A missing mask must not be ambiguous among the layers of one stack.
        full = options.get("allow_is_bidirectional_skip", False) and (self._two_sided or not self._leaves_out)
        made = sdpa_mask(**options | {"allow_is_causal_skip": causal, "allow_is_bidirectional_skip": full})
        self._left_out |= causal and made is None
        return made

    def is_causal(self, module: nn.Module, place: Place | None, causal: bool | None) -> bool:
        """Return whether a layer, if it has no mask, sees only the keys up to each query's own position.

        Args:
            module: the attention module.
            place: the layer that it computes; None if the anatomy does not list the module.
            causal: the option `is_causal` that the module passes to its attention function, if it does.
        """
        if causal is None:
            causal = getattr(module, "is_causal", True)
        # A layer without a mask sees everything, unless its causal mask was left out.
        return bool(causal) and self._left_out and (place is None or place.kind == "decoder")


def _tells_causal_layers(anatomy: Anatomy, config: PreTrainedConfig) -> bool:
    """Return whether every modern layer is known to be causal, or known not to be, without reading its mask."""
    modern = [(module, site) for module, site in anatomy.sites.items() if site.how == "interface"]
    decoders = [module for module, site in modern if all(place.kind == "decoder" for place in site.places)]
    return all(getattr(module, "is_causal", True) for module in decoders) and (
        config.is_encoder_decoder or len(decoders) == len(modern)
    )
