"""`attn view` and `attn_cli.view` of matrices from elsewhere: exact, measured by hand, and drawn like any map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import attn_cli
from attn_cli.errors import InputError, MemoryLimitError, SelectionError, UsageError
from attn_cli.system import memory
from tests.conftest import Run
from tests.samples import softmax

TEXT = "The cat sat on the mat because it was tired"


def test_output_attentions_of_transformers_are_what_inspect_shows(minilm: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    tokens = tokenizer(TEXT, return_tensors="pt")
    model = AutoModel.from_pretrained(minilm, attn_implementation="eager")
    attentions = model(**tokens, output_attentions=True).attentions
    pieces = tokenizer.convert_ids_to_tokens(tokens["input_ids"][0])
    shown = attn_cli.view(attentions, rows=pieces, name="MiniLM")
    for map_, layer in zip(shown.maps, attentions, strict=True):
        np.testing.assert_array_equal(map_.weights, layer[0].detach().numpy())
    expected = attn_cli.inspect(TEXT, minilm, unit="token")
    for one, other in zip(shown.heads, expected.heads, strict=True):
        assert (one.layer, one.head) == (other.layer, other.head)
        np.testing.assert_allclose([one.focus, one.distance or 0], [other.focus, other.distance or 0], atol=1e-4)
        assert [(link.query, link.key) for link in one.links] == [(link.query, link.key) for link in other.links]


def test_lists_tensors_and_layers_without_maps() -> None:
    assert attn_cli.view([[0.5, 0.5], [0.25, 0.75]]).maps[0].weights.tolist() == [[[0.5, 0.5], [0.25, 0.75]]]
    layer = torch.full((1, 2, 4, 4), 0.25, dtype=torch.bfloat16)
    shown = attn_cli.view((None, layer), layer=1)
    assert [(map_.layer, map_.dtype) for map_ in shown.maps] == [(1, "bfloat16")]
    with pytest.raises(SelectionError, match=r"The maps of layer 0 were not given"):
        attn_cli.view((None, layer), layer=0)
    with pytest.raises(InputError, match="Layer 1 of matrix is of 3 texts"):
        attn_cli.view((layer, torch.cat([layer] * 3)))
    with pytest.raises(InputError, match="matrix has rows of different lengths"):
        attn_cli.view([[1.0], [0.5, 0.5]])
    with pytest.raises(UsageError, match=r"view\(\) has no option 'layr'\. Did you mean layer\?"):
        attn_cli.view(layer, layr=1)  # type: ignore[call-arg]


def test_files_in_python(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.eye(3))
    first = attn_cli.view(tmp_path / "m.npy", rows="a,b,c")
    first.save(tmp_path / "m.json")
    assert attn_cli.view(str(tmp_path / "m.json")).to_dict() == first.to_dict()
    assert [token.piece for token in first.source.tokens] == ["a", "b", "c"]


RAW = np.array([[[1, 3], [2, 2]], [[0, 8], [0.5, 0.5]]])


def test_rows_that_do_not_sum_to_one(attn: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "m.npy")
    np.save(path, RAW)
    assert "head 0, row 0 sums to 4.0000 instead of 1. Show it as it is with --no-check" in attn("view", path, code=3)
    shown = attn_cli.view(RAW, check=False)
    assert shown.maps[0].weights.tolist() == RAW.tolist()
    assert shown.notes[0].startswith("The rows sum to 1 to 8 and not to 1: attn view draws the weights as they are")
    # By hand: the rows of head 0 as shares are (1/4, 3/4) and (1/2, 1/2).
    entropy = (-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) + np.log(2)) / 2
    assert shown.heads[0].entropy == pytest.approx(entropy, abs=1e-6)
    assert shown.heads[1].itself == pytest.approx((0 + 0.5) / 2)
    document = orjson.loads(attn("view", path, "--no-check", "--json"))
    assert document["model"]["unscaled"] is True
    assert document["notes"] == list(shown.notes)
    assert document["maps"][1]["weights"] == [[0, 8], [0.5, 0.5]]
    found = orjson.loads(attn("find", path, "0", "1", "--no-check", "--json"))
    assert {(link["head"], link["weight"]) for link in found["links"]} == {(0, 0.75), (1, 1.0)}
    attn("view", path, "--no-check", "--save", str(tmp_path / "m.json"))
    assert "8.0" in attn("view", str(tmp_path / "m.json"), "--head", "1")
    assert "the scale ends at 10, not at 1" in attn("view", path, "--no-check", "--head", "1")
    assert capsys.readouterr().err == ""


def test_diff_compares_shares(attn: Run, tmp_path: Path) -> None:
    for name, scale in (("a", 1), ("b", 7)):
        np.save(tmp_path / f"{name}.npy", RAW * scale)
    files = (str(tmp_path / "a.npy"), str(tmp_path / "b.npy"))
    assert "Nothing changed." in attn("diff", *files, "--no-check")
    assert "sums to 4.0000" in attn("diff", *files, code=3)


def test_heads_of_a_matrix(attn: Run, tmp_path: Path) -> None:
    size = 12
    before = np.eye(size, k=-1)
    before[0, 0] = 1
    np.save(tmp_path / "m.npy", before)
    found = orjson.loads(attn("heads", str(tmp_path / "m.npy"), "--json"))
    assert found["kind"] == "decoder"
    assert "previous" in found["heads"][0]["roles"]


def test_labels_on_the_command_line_and_in_a_file(attn: Run, tmp_path: Path) -> None:
    path, listed = str(tmp_path / "m.npy"), tmp_path / "labels.txt"
    np.save(path, softmax(np.random.default_rng(0).normal(size=(2, 3))))
    typed = attn("view", path, "--rows", 'le,"chat, noir"', "--columns", "the,black,cat")
    assert "chat, noir" in typed
    assert "rows attend to columns" in typed
    assert "2 × 3" in typed
    listed.write_text("le\nchat, noir\n\nthe\nblack\ncat\n")
    assert attn("view", path, "--labels", str(listed)) == typed
    for arguments, code, message in (
        (("--labels", str(listed), "--rows", "a,b"), 2, "Labels are given in a file and on the command line"),
        (
            ("--labels", str(tmp_path / "none.txt")),
            3,
            "none.txt cannot be read: No such file or directory. Name a text",
        ),
        (("--rows", 'a,"b'), 2, "The labels are not a list: "),
        (("--rows", "a,b,c"), 3, "m.npy has 2 rows, and there are 3 labels for them. Give one for each row"),
        (("--scores",), 4, "m.npy holds no scores. It is a matrix of weights alone"),
    ):
        assert message in attn("view", path, *arguments, code=code)
    listed.write_text("\n \n")
    assert "labels.txt holds no labels" in attn("view", path, "--labels", str(listed), code=3)
    listed.write_text("a\n\nb\n\nc\n")
    assert "has more than two parts between blank lines" in attn("view", path, "--labels", str(listed), code=3)


def test_rows_of_a_record_are_still_a_step(attn: Run, tmp_path: Path) -> None:
    saved = str(tmp_path / "it.json")
    attn("translate", "The cat sat", "--model", "toy", "--save", saved)
    assert "target, when read" in attn("view", saved, "--rows", "input", "--layer", "0")
    assert "it.json is a record, which has labels of its own" in attn("view", saved, "--rows", "a,b", code=2)


def test_every_format_says_what_its_rows_are(attn: Run, tmp_path: Path) -> None:
    for unit in ("words", "tokens"):
        names = [str(tmp_path / f"{unit}.{suffix}") for suffix in ("json", "csv", "npz")]
        for name in names:
            attn("inspect", TEXT, "--model", "MODEL", "--layer", "0", f"--{unit}", "--save", name)
        units = orjson.loads(Path(names[0]).read_bytes())["units"]
        assert (units["maps"], units["links"]) == ("token", unit.removesuffix("s"))
        rows = Path(names[1]).read_text().splitlines()
        assert rows[0].endswith(",weight,unit")
        assert {row.rpartition(",")[2] for row in rows[1:]} == {unit.removesuffix("s")}
        with np.load(names[2]) as saved:
            assert str(saved["unit"]) == "token"


def test_a_data_frame_brings_its_labels() -> None:
    frame = pd.DataFrame([[0.25, 0.75], [0.5, 0.5]], index=["le", "chat"], columns=["the", "cat"])
    shown = attn_cli.view(frame)
    assert shown.target is not None
    assert [token.piece for token in shown.target.tokens[:-1]] == ["le", "chat"]
    assert [token.piece for token in shown.source.tokens] == ["the", "cat"]


def test_a_matrix_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "m.npy", np.eye(64))
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(MemoryLimitError, match=r"m\.npy takes .* of memory, and .* is free\. Save fewer layers"):
        attn_cli.view(tmp_path / "m.npy")
