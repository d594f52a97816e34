"""The families that the test suite compares with transformers' own eager attention; others are checked at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["TESTED", "is_tested"]

_NAMES = """
albert axk2 bamba bart bert bert-generation big_bird biogpt blenderbot blenderbot-small bloom camembert canine
clip_text_model codegen cohere cohere2 convbert ctrl data2vec-text deberta deberta-v2 deepseek_v2 deepseek_v3
deepseek_v32 diffllama distilbert doge dots3_note_text electra ernie esm eurobert falcon falcon_h1 flaubert fsmt
funnel gemma gemma2 gemma3_text glm4 glm5_next_text glm_moe_dsa gpt2 gpt_bigcode gpt_neo gpt_neox gpt_neox_japanese
gpt_oss gptj granite granite_swa granitemoe granitemoehybrid gte hrm_text hy_v4 ibert jamba jina_embeddings_v3
kimi_linear layoutlm layoutlmv3 led lfm2 llama llama4_text longcat_flash longformer luke m2m_100 marian mbart
megatron-bert mimo_v2_flash minimax minimax_m3_vl_text mistral mixtral modernbert modernbert-decoder mpnet mpt mt5 mvp
nemotron nemotron_h nllb-moe nomic_bert olmo olmo2 openai-gpt opt pegasus persimmon phi phi3 plbart prophetnet qwen2
qwen3 qwen3_moe qwen3_next recurrent_gemma rembert roberta roformer smollm3 squeezebert stablelm starcoder2
switch_transformers t5 tapas umt5 vaultgemma xglm xlm xlm-roberta xlnet zamba zamba2
"""
TESTED = frozenset(_NAMES.split())
"""`model_type` of each tested family; `tests/models/families.py` builds a small model of every one."""


def is_tested(model: PreTrainedModel) -> bool:
    """Return whether the tests cover a model's code: transformers' own, of a family in `TESTED`."""
    return model.config.model_type in TESTED and type(model).__module__.startswith("transformers.models.")
