"""Chat templates of some families, shortened, and a small decoder that has one."""

from __future__ import annotations

from functools import cache
from typing import Any

from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.families import spread

__all__ = ["LLAMA", "SMOLLM2", "TEMPLATES", "chatting"]

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "smollm2": SMOLLM2,
    # Contents are trimmed, roles must alternate, and a system turn stands within the first user's.
    "llama-2": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
        "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}"
        "{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if loop.index0 == 0 and system %}{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + "
        "message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    # A system turn stands before the last user's words.
    "mistral": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
        "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
        "{% for message in rest %}{% if message['role'] == 'user' %}{% if loop.last and system is defined %}"
        "{{ '[INST]' + system + '\n\n' + message['content'] + '[/INST]' }}{% else %}"
        "{{ '[INST]' + message['content'] + '[/INST]' }}{% endif %}{% else %}"
        "{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else "
        "message['role'] %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    # Words of the template touch those of the turn.
    "vicuna": (
        "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'USER:' + message['content'] }}"
        "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT' + message['content'] + eos_token }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT' }}{% endif %}"
    ),
}
LLAMA: dict[str, Any] = {
    "vocab_size": 403,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 37,
    "max_position_embeddings": 256,
}


@cache
def chatting(family: str) -> Pretrained:
    """Make a small random decoder whose tokenizer has the template of a family."""
    tokenizer = folders.llama()
    tokenizer.chat_template = TEMPLATES[family]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return Pretrained(family, spread(folders.made("Llama", "ForCausalLM", **LLAMA)), tokenizer)
