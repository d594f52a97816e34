"""A word that a user names, or several in a row, through every command; and what repeated words are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import attn_cli
from attn_cli.data.shapes import Float
from tests.conftest import Run
from tests.models.folders import byte_level, made, save

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
BRIDGES = "The bridge by the old bridge is no bridge"
CHINESE = "我喜欢自然语言处理"


def eager(folder: str, text: str) -> tuple[Float[np.ndarray, "layer head query key"], list[tuple[int, int]]]:
    """Run transformers' own eager attention; return its maps, and the first character and the end of each token."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    inputs = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = [(int(start), int(end)) for start, end in inputs.pop("offset_mapping")[0]]
    with torch.no_grad():
        maps = model(**inputs, output_attentions=True).attentions
    return torch.stack(maps)[:, 0].numpy(), offsets


@pytest.mark.parametrize(
    ("text", "name", "special"),
    [
        (CHINESE, "自然", 2),
        ("I moved to New York because New Jersey is dull", "New York", 2),
        ("A state-of-the-art model", "state-of-the-art", 2),
        ("Write to jane.doe@example.org, please", "jane.doe@example.org", 2),
        ("Write to Jane, please", "jane, PLEASE", 2),
        ("The café is un café", "cafe is", 2),
    ],
)
def test_a_name_of_several_words_is_the_mean_of_their_rows_and_the_sum_of_their_columns(
    text: str, name: str, special: int, minilm: str, attn: Run
) -> None:
    """Held against transformers' eager attention, by the characters that each token stands for."""
    maps, offsets = eager(minilm, text)
    plain = text.casefold().replace("é", "e")
    start = plain.index(name.casefold())
    pieces = [i for i, (a, b) in enumerate(offsets) if a < b and start <= a and b <= start + len(name)]
    assert len(pieces) > 1
    (document,) = map(
        json.loads,
        attn("inspect", text, "--query", name, "--model", "MODEL", "--json", "--top-k", "99", "--head", "3.1,5.4"
             ).splitlines(),
    )  # fmt: skip
    assert [(head["layer"], head["head"]) for head in document["heads"]] == [(3, 1), (5, 4)]
    for head in document["heads"]:
        row = maps[head["layer"], head["head"]][pieces].mean(axis=0)
        links = head["links"]
        assert sum(link["weight"] for link in links) == pytest.approx(1, abs=1e-5)
        (own,) = (link for link in links if link["query"] == link["key"])
        assert own["key_text"] == own["query_text"] == text[start : start + len(name)]
        assert own["weight"] == pytest.approx(row[pieces].sum(), abs=1e-5)
        assert len(links) < len(offsets)
        firsts = {link["key_text"]: link["weight"] for link in links}
        assert firsts["[CLS]"] == pytest.approx(row[0], abs=1e-5)


def test_every_command_takes_a_name_of_several_words(attn: Run, tmp_path: Path, minilm: str) -> None:
    text, model = "I moved to New York because it is big", ("--model", "MODEL")
    saved = tmp_path / "record.json"
    shown = attn("inspect", text, "--query", "New York", "--head", "3.1", *model)
    assert "\nNew York  query 4: its strongest keys" in shown
    attn("inspect", text, "--head", "3.1", "--save", str(saved), *model)
    assert attn("view", str(saved), "--query", "new york").splitlines()[3:] == shown.splitlines()[3:]
    attn("inspect", text, "--query", "New York", "--head", "3.1", "--save", str(saved), "--force", *model)
    assert attn("view", str(saved)).splitlines()[3:] == shown.splitlines()[3:]
    found = json.loads(attn("find", text, "it", "New York", "--head", "3.1", "--json", *model))
    weights = attn_cli.load(minilm).inspect(text, head="3.1").maps[0].weights[0]
    assert found["links"][0]["weight"] == pytest.approx(weights[7, 4:6].sum(), abs=1e-5)
    assert (found["links"][0]["key"], found["links"][0]["key_text"]) == (4, "New York")
    assert found["pairs"][0]["offset"] == -2  # because stands between
    back = json.loads(attn("find", text, "New York", "it", "--head", "3.1", "--json", *model))
    assert back["links"][0]["weight"] == pytest.approx(weights[4:6, 7].mean(), abs=1e-5)
    other = "I moved to Los Angeles because it is big"
    changed = json.loads(attn("diff", text, other, "--query", "New York", "--head", "3.1", "--json", *model))
    assert changed["queries"][4] == {"a": 4, "b": 4, "a_text": "New York", "b_text": "Los Angeles"}
    assert changed["queries"][5]["a_text"] == "because"
    assert changed["queries"][5]["a"] == 6
    assert changed["heads"][0]["a"][0][4] == pytest.approx(weights[4:6, 4:6].sum(axis=1).mean(), abs=1e-5)
    explained = attn("explain", text, "--query", "New York", "--head", "3.1", *model)
    assert "\nYork  query 5, head 3.1\n" in explained
    assert attn("explain", text, "--query", "New York", "--model", "MODEL", "--json")
    translated = attn("translate", "The cat sat on the mat", "--query", "Le chat", "--head", "1.0", "--model", "toy")
    assert "\nLe chat  query 1, when read: " in translated
    assert "'Le york'" in attn("inspect", text, "--query", "Le york", *model, code=4)


def test_in_python(minilm: str) -> None:
    model = attn_cli.load(minilm)
    record = model.inspect(CHINESE, query="自然", layer=3)
    assert record.maps[0].queries == (4, 5)
    found = model.find(CHINESE, "自然", "语言", head="3.1")
    assert found.plan.queries.labels[found.pairs[0].query] == "自然"
    assert model.diff(CHINESE, query="自然", layer=3).most == 0


def test_a_position_is_the_same_word_in_every_command(attn: Run) -> None:
    for query in ("9", "it"):
        shown = attn("inspect", SENTENCE, "--query", query, "--head", "3.1", "--model", "MODEL")
        assert "\nit  query 9: " in shown
        explained = attn("explain", SENTENCE, "--query", query, "--head", "3.1", "--model", "MODEL")
        assert "\nit  query 9 (token 11), head 3.1\n" in explained
        assert "\n 9 it " in explained
        assert "it → trophy  query 9, key 2: " in attn("find", SENTENCE, query, "2", "--model", "MODEL")
        assert "\nit  query 9: " in attn("diff", SENTENCE, f"{SENTENCE}ger", "--query", query, "--model", "MODEL")
    for command in ("inspect", "explain"):
        assert "\nit  query 11" in attn(command, SENTENCE, "--query", "11", "--tokens", "--model", "MODEL")
        assert "token" not in attn(command, SENTENCE, "--query", "1", "--model", "MODEL").split("query 1")[1][:9]
    document = json.loads(attn("explain", SENTENCE, "--query", "9", "--model", "MODEL", "--json"))
    assert document["query"] == {"index": 11, "position": 9, "text": "it", "rows": None}
    assert [key["position"] for key in document["keys"]] == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]


def test_repeated_words_are_told_apart_as_keys_and_found_by_what_they_are_called(attn: Run) -> None:
    words = {"bridge#1": 2, "bridge#2": 6, "bridge#3": 9}
    shown = attn("inspect", BRIDGES, "--query", "no", "--top-k", "11", "--head", "3.1", "--model", "MODEL")
    assert all(word in shown for word in words)
    for word, place in words.items():
        assert f"{word}  query {place}: " in attn("inspect", BRIDGES, "--query", word, "--model", "MODEL")
    attn("inspect", BRIDGES, "--query", "no", "--head", "3.1", "--model", "MODEL")
    table = attn("inspect", BRIDGES, "--model", "MODEL", "--all")
    links = [line.split("  ")[-1] for line in table.splitlines() if " → " in line]
    assert any("bridge#" in link for link in links)
    assert not any(link.endswith(tuple(f"bridge 0.{tenth}" for tenth in range(10))) for link in links)
    changed = attn("diff", BRIDGES, BRIDGES.replace("old", "new"), "--query", "is", "--model", "MODEL", "--head", "3.1")
    assert "\nbridge#3 " in changed
    assert "→ bridge#" in attn("diff", BRIDGES, BRIDGES.replace("old", "new"), "--model", "MODEL", "--all")


def test_a_cut_key_keeps_its_number(attn: Run) -> None:
    text = "Incomprehensibilities and incomprehensibilities, incomprehensibilities"
    narrow = attn(
        "inspect", text, "--query", "and", "--top-k", "9", "--head", "3.1", "--model", "MODEL", "--width", "40"
    )
    assert "…#1" in narrow
    assert "…#2" in narrow


def test_a_decoder_whose_tokens_are_bytes(attn: Run, tmp_path: Path) -> None:
    """An emoji and Chinese letters are several tokens each, which stand for the same letter; a space goes with what
    follows it.
    """
    tokenizer = byte_level()
    folder = save(
        tmp_path / "gpt2",
        made("GPT2", vocab_size=337, n_embd=24, n_head=3, n_layer=2, bos_token_id=0, eos_token_id=0),
        tokenizer,
    )
    text = "keep 😀 自然语言 it"
    maps, offsets = eager(str(folder), text)
    for name, *unit in (("😀",), ("😀", "--tokens"), ("自然",), ("自然", "--tokens")):
        start = text.index(name)
        pieces = [i for i, (a, b) in enumerate(offsets) if start - 1 <= a < b <= start + len(name)]
        assert len(pieces) > 2
        document = json.loads(
            attn("inspect", text, "--query", name, "--model", str(folder), "--json", "--top-k", "99", *unit)
        )
        for head in document["heads"]:
            row = maps[head["layer"], head["head"]][pieces].mean(axis=0)
            (own,) = (link for link in head["links"] if link["query"] == link["key"])
            assert own["weight"] == pytest.approx(row[pieces].sum(), abs=1e-5)
            assert sum(link["weight"] for link in head["links"]) == pytest.approx(1, abs=1e-5)


def test_a_name_that_the_models_pieces_do_not_part(attn: Run, tmp_path: Path) -> None:
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "▁", "我", "喜欢", "自然语言", "处理"]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=[(piece, -1.0) for piece in vocabulary])
    settings = {"vocab_size": 13, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1}
    folder = str(save(tmp_path / "xlmr", made("XLMRoberta", intermediate_size=37, **settings), tokenizer))
    assert "自然语言处理  query 3: " in attn("inspect", CHINESE, "--query", "自然语言处理", "--model", folder)
    said = attn("inspect", CHINESE, "--query", "自然", "--model", folder, code=4)
    assert "'自然' is only part of '自然语言' in the text" in said
