"""Chats: exactly the tokens of `apply_chat_template`, with the template's own marks and each turn in their place."""

from __future__ import annotations

from typing import Any

import pytest

from attn_cli.data.turns import Turn
from attn_cli.errors import ModelError
from attn_cli.models import Input, load
from attn_cli.models.hf.chat import render
from attn_cli.models.hf.model import Pretrained
from tests.models import folders
from tests.models.chats import TEMPLATES, chatting

SYSTEM = Turn("system", "You answer in verse.")
CHAT = (
    Turn("user", "user: did the trophy fit?\n\nIt  was big."),
    Turn("assistant", " The suitcase was too small… 😀 "),
    Turn("user", "Where is the café?"),
)


def made(model: Pretrained, turns: tuple[Turn, ...], *, answers: bool = False) -> Any:
    given = model.converse(turns, Input(""), answers=answers)
    return given, model.prepare(given).source


def ids(model: Pretrained, turns: tuple[Turn, ...], **settings: Any) -> list[int]:
    found: Any = model.tokenizer.apply_chat_template([turn.message for turn in turns], tokenize=True, **settings)
    return list(found["input_ids"])


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("turns", [CHAT[:1], CHAT, (SYSTEM, *CHAT[:1]), (SYSTEM, *CHAT)])
@pytest.mark.parametrize("family", TEMPLATES)
def test_tokens_are_those_of_apply_chat_template(family: str, turns: tuple[Turn, ...], answers: bool) -> None:
    model = chatting(family)
    if turns[0] is SYSTEM and family in {"gemma", "vicuna"}:
        with pytest.raises(ModelError, match=r"System role not supported|does not read turn 1, whose role is 'system'"):
            model.converse(turns, Input(""), answers=answers)
        return
    given, tokens = made(model, turns, answers=answers)
    assert [token.id for token in tokens.tokens] == ids(model, turns, add_generation_prompt=answers)
    # What stands outside the marks is what the turns say, in the order of the text.
    inside = []
    place = 0
    for start, end in (*given.marks, (len(given.text), 0)):
        inside.append(given.text[place:start])
        place = end
    said = [turn.content.strip() for turn in turns]
    if family == "mistral" and turns[0] is SYSTEM:
        said = [*said[1:-1], said[0], said[-1]]
    if family == "smollm2" and turns[0] is not SYSTEM:
        said = ["You are helpful", *said]
    assert [text.strip() for text in inside if text.strip()] == said
    # Tokens of a mark are special, and no word reaches into one.
    for token in tokens.tokens:
        marked = any(start <= token.start and token.end <= end for start, end in given.marks)
        assert token.special == (marked and token.start < token.end)
    for word in tokens.words:
        assert not any(word.start < end and start < word.end for start, end in given.marks), word


def parts(given: Input) -> list[tuple[str, str]]:
    return [(part.name, given.text[part.start : part.end]) for part in given.parts]


def test_each_turn_is_a_part_with_its_marks() -> None:
    given, _ = made(chatting("smollm2"), CHAT, answers=True)
    assert parts(given) == [
        ("system", "<|im_start|>system\nYou are helpful<|im_end|>\n"),
        ("user", f"<|im_start|>user\n{CHAT[0].content}<|im_end|>\n"),
        ("assistant", f"<|im_start|>assistant\n{CHAT[1].content}<|im_end|>\n"),
        ("user#2", f"<|im_start|>user\n{CHAT[2].content}<|im_end|>\n"),
        ("answer", "<|im_start|>assistant\n"),
    ]
    given, _ = made(chatting("mistral"), (SYSTEM, *CHAT))
    assert [name for name, _ in parts(given)] == ["user", "assistant", "system", "user#2"]
    assert "".join(text for _, text in parts(given)) == given.text


def test_a_last_turn_of_the_assistant_goes_on() -> None:
    model = chatting("smollm2")
    turns = (*CHAT, Turn("assistant", "It is in"))
    given, tokens = made(model, turns, answers=True)
    assert given.text.endswith("<|im_start|>assistant\nIt is in")
    assert [token.id for token in tokens.tokens] == ids(model, turns, continue_final_message=True)
    assert given.parts[-1].name == "assistant#2"


def test_what_is_written_behind_a_chat_is_generates() -> None:
    import torch

    model = chatting("llama-2")
    given, tokens = made(model, CHAT[:1], answers=True)
    whole: Any = model._saved
    prompt = torch.tensor([[token.id for token in tokens.tokens]])
    found = whole.generate(prompt, do_sample=False, max_new_tokens=5, pad_token_id=0)[0].tolist()
    from attn_cli.models import Decoding

    source = model.prepare(model.write(given, Decoding(1, 5))).source
    assert [token.id for token in source.tokens] == found
    known = model.prepare(Input(given.text, continuation=" big", marks=given.marks, parts=given.parts)).source
    assert [token.id for token in known.tokens[: known.written]] == prompt[0].tolist()
    assert known.text.endswith(" big")


def test_faults_are_told_in_one_line(minilm: str) -> None:
    for model in (load("toy"), load(minilm)):
        with pytest.raises(ModelError, match="has no chat template"):
            model.converse(CHAT, Input(""))
    with pytest.raises(ModelError, match="refuses these turns: Conversation roles must alternate"):
        chatting("llama-2").converse((CHAT[0], CHAT[2]), Input(""))
    with pytest.raises(ModelError, match="does not read turn 2, whose role is 'critic'"):
        chatting("vicuna").converse((CHAT[0], Turn("critic", "No.")), Input(""))
    tokenizer = folders.byte_level()
    for changed in ("upper", "title"):
        tokenizer.chat_template = f"{{{{ messages[0]['content'].{changed}() }}}}"
        with pytest.raises(ModelError, match="changes the letters of turn 1, so its place cannot be told"):
            render(tokenizer, "loud", CHAT[:1], answers=False)
    tokenizer.chat_template = "{{ messages[0]['content'] }} {{ messages[0]['content'] }}"
    with pytest.raises(ModelError, match="repeats turn 1, so its place cannot be told"):
        render(tokenizer, "twice", CHAT[:1], answers=False)
    tokenizer.chat_template = "{{ messages[0]['content'] }}{{ messages[0]['content'] | length }}"
    with pytest.raises(ModelError, match="changes turn 1"):
        render(tokenizer, "counting", CHAT[:1], answers=False)
    tokenizer.chat_template = "{% for message in messages %}"
    with pytest.raises(ModelError, match="The chat template of broken refuses these turns"):
        render(tokenizer, "broken", CHAT[:1], answers=False)


def test_a_template_may_shorten_what_a_turn_says() -> None:
    tokenizer = folders.byte_level()
    tokenizer.chat_template = (
        "{% for message in messages %}[{{ message.role }}] {{ message.content.split('</think>')[-1] }}[end]{% endfor %}"
    )
    turns = (CHAT[0], Turn("assistant", "<think>hm</think>Yes."), CHAT[2])
    found = render(tokenizer, "thinking", turns, answers=False)
    assert "hm" not in found.text
    start, end = found.marks[1][1], found.marks[2][0]
    assert found.text[start:end] == "Yes."
