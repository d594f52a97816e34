"""Matrices of weights from anywhere: what NumPy, pandas, a spreadsheet and attn itself write, and what is refused."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attn_cli
from attn_cli.data.labelling import Labelling
from attn_cli.data.record import Record
from attn_cli.data.selection import Selection
from attn_cli.data.shapes import Float
from attn_cli.errors import AttnError, InputError, UsageError
from attn_cli.io.read import read_records
from attn_cli.io.records import to_json
from attn_cli.questions.inspect.measure import look
from tests.records import same
from tests.samples import decoder_record, encoder_record, softmax, translation_record


def weights(*shape: int, causal: bool = False) -> Float[np.ndarray, "..."]:
    scores = np.random.default_rng(shape).normal(scale=2, size=shape)
    if causal:
        scores[..., np.triu(np.ones(shape[-2:], np.bool_), 1)] = -np.inf
    return softmax(scores).astype(np.float32)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def read(data: bytes | str, labelling: Labelling | None = None, *, path: Path | None = None) -> Record:
    if isinstance(data, str):
        data = data.encode()
    if path is not None:
        path.write_bytes(data)
    (record,) = read_records(io.BytesIO(data) if path is None else path, labelling or Labelling())
    return record


def labels(record: Record) -> tuple[list[str], list[str]]:
    rows = record.source.tokens if record.target is None else record.target.tokens[:-1]
    return [token.piece for token in rows], [token.piece for token in record.source.tokens]


@pytest.mark.parametrize(
    ("shape", "causal", "kind"),
    [
        ((5, 5), False, "encoder"),
        ((3, 5, 5), True, "decoder"),
        ((2, 3, 5, 5), False, "encoder"),
        ((2, 3, 5, 7), False, "cross"),
        ((1, 4), False, "cross"),
        ((1, 1), False, "encoder"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_of_every_shape(shape: tuple[int, ...], causal: bool, kind: str, dtype: Any) -> None:
    array = weights(*shape, causal=causal).astype(dtype)
    record = read(npy(array))
    layers = array.reshape(*(1,) * (4 - len(shape)), *shape).astype(np.float32)
    assert [map_.kind for map_ in record.maps] == [kind] * len(layers)
    for map_, layer in zip(record.maps, layers, strict=True):
        np.testing.assert_array_equal(map_.weights, layer)
    assert record.model.stacks[record.maps[0].kind].heads == dict.fromkeys(range(len(layers)), layers.shape[1])
    assert record.notes == ()
    assert not record.model.unscaled
    assert record.model.captured == "given"
    assert same(read(to_json(record)), record)


def test_labels_of_an_archive_and_of_the_user() -> None:
    data = npz(weights=weights(3, 3), labels=np.array(["[CLS]", "cat", "sat"]))
    record = read(data)
    assert labels(record) == (["[CLS]", "cat", "sat"],) * 2
    assert [token.special for token in record.source.tokens] == [True, False, False]
    assert [word.text for word in record.source.words] == ["cat", "sat"]
    assert record.source.text == "[CLS] cat sat"
    assert labels(read(data, Labelling(rows=("a", "b", "New York")))) == (["a", "b", "New York"],) * 2
    crossed = read(data, Labelling(rows=("a", "b", "c"), columns=("x", "y", "z")))
    assert labels(crossed) == (["a", "b", "c"], ["x", "y", "z"])
    assert crossed.maps[0].kind == "cross"
    both = npz(w=weights(2, 3), rows=np.array(["le", "chat"]), keys=np.array(["a", "the", "cat"]))
    assert labels(read(both)) == (["le", "chat"], ["a", "the", "cat"])


def test_an_array_for_each_layer_in_the_order_of_their_numbers() -> None:
    layers = [weights(2, 4, 4 + 0 * number) for number in range(12)]
    file = io.BytesIO()
    np.savez(file, *[layer[None] for layer in layers])
    record = read(file.getvalue())
    for map_, layer in zip(record.maps, layers, strict=True):
        np.testing.assert_array_equal(map_.weights, layer)


def test_padding_sees_nothing() -> None:
    array = weights(2, 4, 4)
    array[:, 3] = 0
    assert read(npy(array)).maps[0].visible.tolist() == [[0, 4], [0, 4], [0, 4], [0, 0]]


FRAME = pd.DataFrame(weights(4, 4), index=list("abcd"), columns=list("abcd"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FRAME.to_csv(), list("abcd")),
        (FRAME.to_csv(index=False), list("abcd")),
        (FRAME.to_csv(header=False), list("abcd")),
        (FRAME.to_csv(header=False, index=False), list("0123")),
        (FRAME.to_csv(sep="\t"), list("abcd")),
        (FRAME.to_csv(sep=";"), list("abcd")),
        (FRAME.to_csv(sep="|"), list("abcd")),
        (FRAME.to_csv(sep=" "), list("abcd")),
        (FRAME.to_csv(sep=";", decimal=","), list("abcd")),
        (FRAME.to_csv(sep="\t", decimal=","), list("abcd")),
        (FRAME.to_csv(sep=";", decimal=",", header=False, index=False), list("0123")),
        (FRAME.to_csv(decimal=","), list("abcd")),
        (FRAME.to_csv(decimal=",", header=False, index=False), list("0123")),
        (FRAME.set_axis([";", "a;b", "|", "c d"], axis=1).to_csv(index=False), [";", "a;b", "|", "c d"]),
        (FRAME.to_csv(index_label="token"), list("abcd")),
        (FRAME.reset_index(drop=True).set_axis(range(4), axis=1).to_csv(), list("0123")),
        (FRAME.reset_index(drop=True).set_axis(range(4), axis=1).to_csv(index=False), list("0123")),
        (FRAME.set_axis([",", ";", '"', "it's"], axis=1).to_csv(index=False), [",", ";", '"', "it's"]),
        ("\ufeff" + FRAME.to_csv().replace("\n", "\r\n") + "\r\n", list("abcd")),
    ],
    ids=[
        "pandas",
        "header",
        "index",
        "bare",
        "tabs",
        "semicolons",
        "bars",
        "spaces",
        "decimal commas",
        "decimal commas and tabs",
        "bare decimal commas",
        "quoted decimal commas",
        "bare quoted decimal commas",
        "other marks in labels",
        "named",
        "numbers",
        "number header",
        "marks",
        "bom",
    ],
)
@pytest.mark.parametrize("name", ["m.CSV", "m.tsv"])
def test_grids(text: str, expected: list[str], name: str, tmp_path: Path) -> None:
    record = read(text, path=tmp_path / name)
    assert labels(record) == (expected, expected)
    np.testing.assert_array_equal(record.maps[0].weights[0], FRAME.to_numpy())


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("bare", [False, True])
def test_grids_of_a_pipe_are_known_by_their_first_line(mark: str, bare: bool) -> None:
    record = read(FRAME.to_csv(sep=mark, header=not bare, index=not bare))
    np.testing.assert_array_equal(record.maps[0].weights[0], FRAME.to_numpy())


@pytest.mark.parametrize(
    ("text", "rows", "first"),
    [
        ("cat,0,1\nsat,0.5,0.5\nmat,1,0\n", ["cat", "sat", "mat"], [0, 1]),
        ("0,1\n0.5,0.5\n1,0\n", ["0", "1", "2"], [0, 1]),
        ("0\t1\n0.5\t0.5\n1\t0\n", ["0", "1", "2"], [0, 1]),
        ("0\n1\n", ["0", "1"], [0]),
    ],
)
def test_a_first_row_that_may_be_weights_is_weights(
    text: str, rows: list[str], first: list[int], tmp_path: Path
) -> None:
    record = read(text, path=tmp_path / "m.csv")
    assert labels(record)[0] == rows
    assert record.maps[0].weights[0, 0].tolist() == first
    assert record.notes == ()


def test_a_first_row_of_counts_with_a_label_is_weights_where_sums_are_not_checked() -> None:
    text = "cat,0,1,2\nsat,3,4,5\nmat,6,7,8\nhat,9,9,9\n"
    record = read(text, Labelling(checked=False))
    assert labels(record)[0] == ["cat", "sat", "mat", "hat"]
    assert record.maps[0].weights[0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (",0,1\n0,0.5,0.5\n1,1,0\n", ["0", "1"]),
        (",0,1\ncat,0.5,0.5\nsat,1,0\n", ["cat", "sat"]),
        (",0,1,2\n0,0.5,0.5,0\n1,1,0,0\n2,0,1,0\n", ["0", "1", "2"]),
        ("token,0,1,2\n0,0.5,0.5,0\n1,1,0,0\n2,0,1,0\n", ["0", "1", "2"]),
        ("token,0,1,2\ncat,0.5,0.5,0\nsat,1,0,0\nmat,0,1,0\n", ["cat", "sat", "mat"]),
        ("0,1,2\n0.5,0.5,0\n1,0,0\n0,1,0\n", ["0", "1", "2"]),
        (",1990,2000\ncat,0.5,0.5\n", ["cat"]),
    ],
)
def test_a_header_of_numbers_is_noted(text: str, rows: list[str]) -> None:
    record = read(text)
    assert labels(record)[0] == rows
    assert record.maps[0].weights[0, 0].tolist()[:2] == [0.5, 0.5]
    shown = ", ".join(text.partition("\n")[0].split(",")[-len(record.source) :])
    assert record.notes == (f"The first row of standard input ({shown}) is taken for labels, not for weights",)


@pytest.mark.parametrize("text", ["The,1,NA\ncat,0.5,0.5\n", "The,1,-\ncat,0.5,0.5\n", ",0.5,0.5\ncat,1,0\n"])
def test_a_first_row_of_weights_is_not_dropped_for_a_cell_that_is_missing(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it holds|label of row 0"):
        read(text, path=tmp_path / "m.csv")


@pytest.mark.parametrize("mark", [",", " ", "\t"])
def test_a_header_of_savetxt(mark: str, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "m.csv", FRAME.to_numpy(), delimiter=mark, header=mark.join("abcd"))
    (record,) = read_records(tmp_path / "m.csv")
    assert labels(record) == (list("abcd"),) * 2
    np.testing.assert_array_equal(record.maps[0].weights[0], FRAME.to_numpy())


def test_one_array_of_several() -> None:
    layers = weights(2, 3, 4, 4)
    data = npz(attn=layers, mask=np.ones((4, 4)), labels=np.array(list("abcd"), np.bytes_), notes=np.array([None]))
    record = read(data, Labelling(array="attn"))
    assert labels(record) == (list("abcd"),) * 2
    assert [map_.weights.tolist() for map_ in record.maps] == layers.tolist()
    for array, message in (
        ("attention", "standard input holds no array 'attention' (it has attn, mask, labels). Name one of them"),
        ("labels", "standard input: labels holds |S1, and weights are numbers"),
        ("notes", "standard input holds Python objects, which are never unpickled (notes). Save it with array.asty"),
    ):
        with pytest.raises(InputError) as error:
            read(data, Labelling(array=array))
        assert str(error.value).startswith(message)
    for one in (npy(layers), FRAME.to_csv(), to_json(encoder_record())):
        with pytest.raises(UsageError, match=r"standard input has no arrays to choose from\. Leave --array out"):
            read(one, Labelling(array="attn"))


def test_what_savetxt_writes_with_few_decimals(tmp_path: Path) -> None:
    file = io.StringIO()
    np.savetxt(file, np.full((3, 3), 1 / 3), fmt="%.2f")
    record = read(file.getvalue(), path=tmp_path / "m.csv")
    np.testing.assert_array_equal(record.maps[0].weights[0], np.full((3, 3), 0.33, np.float32))
    assert record.notes == ()
    assert record.model.unscaled  # so that figures are of shares


@pytest.mark.parametrize("record", [encoder_record(), decoder_record(), translation_record()])
@pytest.mark.parametrize("unit", ["word", "token"])
def test_what_attn_saved_as_csv_is_read_back(record: Record, unit: Any, tmp_path: Path) -> None:
    selection = Selection(unit=unit, kind="cross" if record.target else None)
    shown = look(record, selection, keep=True)
    shown.save(tmp_path / "m.csv")
    (back,) = read_records(tmp_path / "m.csv")
    again = look(back, Selection(unit=unit), keep=True)
    assert [*map(tuple, again.rows())] == [
        tuple(cell for place, cell in enumerate(row) if shown.columns[place] != "rows") for row in shown.rows()
    ]
    again.save(tmp_path / "again.csv")
    assert "rows" not in (tmp_path / "again.csv").read_text().splitlines()[0].split(",")
    assert back.selection.unit == unit


def test_some_heads_and_rows_and_scores_of_a_long_table(tmp_path: Path) -> None:
    shown = look(encoder_record(), Selection(head="1.0,1.2", query="the", unit="token", measure="scores"), keep=True)
    shown.save(tmp_path / "m.csv")
    (back,) = read_records(tmp_path / "m.csv")
    assert [(map_.layer, map_.heads, map_.queries) for map_ in back.maps] == [(1, (0, 2), (1,))]
    assert back.selection.head == "1.0,1.2"
    assert back.selection.query == "#1"
    scores = back.maps[0].scores
    original = encoder_record().maps[1].scores
    assert scores is not None
    assert original is not None
    np.testing.assert_array_equal(scores, original[[0, 2], 1:2])


CAUSAL = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]])


def stacked(grid: Float[np.ndarray, "query key"]) -> str:
    """The grid as pandas stacks it: a line for each cell."""
    return "query,key,weight\n" + "".join(f"{row},{key},{grid[row, key]:g}\n" for row, key in np.ndindex(grid.shape))


def test_a_table_of_all_cells_is_what_its_grid_is(tmp_path: Path) -> None:
    grid = "\n".join(",".join(f"{cell:g}" for cell in row) for row in CAUSAL)
    for kind, expected in ((None, "decoder"), ("decoder", "decoder"), ("encoder", "encoder")):
        one, other = (read(text, Labelling(kind=kind), path=tmp_path / "m.csv") for text in (grid, stacked(CAUSAL)))  # type: ignore[arg-type]
        assert list(one.model.stacks) == list(other.model.stacks) == [expected]
        np.testing.assert_array_equal(one.maps[0].visible, other.maps[0].visible)
        np.testing.assert_array_equal(one.maps[0].weights, other.maps[0].weights)
    flipped = stacked(CAUSAL[::-1, ::-1])
    assert list(read(flipped).model.stacks) == ["encoder"]
    with pytest.raises(UsageError, match="cannot be 'decoder': it has weights above its diagonal"):
        read(flipped, Labelling(kind="decoder"))
    padded = np.vstack([CAUSAL[:2], np.zeros((1, 3))])
    assert read(stacked(padded)).maps[0].visible.tolist() == [[0, 1], [0, 2], [0, 0]]


def test_labels_and_decimals_of_a_table_of_all_cells() -> None:
    record = read(stacked(CAUSAL[::-1]), Labelling(("X", "Y", "Z"), ("P", "Q", "R")))
    assert labels(record) == (["X", "Y", "Z"], ["P", "Q", "R"])
    assert list(record.model.stacks) == ["cross"]
    record = read(stacked(np.full((3, 3), 0.33)))
    assert record.notes == ()
    assert record.model.unscaled


@pytest.mark.parametrize("measure", ["norms", "rollout"])
def test_a_table_says_what_it_holds_in_the_place_of_weights(measure: Any, tmp_path: Path) -> None:
    shown = attn_cli.inspect("The cat sat", measure=measure, layer=1)
    shown.save(tmp_path / "m.csv")
    (back,) = read_records(tmp_path / "m.csv")
    assert back.selection.measure == measure
    again = look(back, replace(back.selection, view="heads"), keep=True)
    assert [*map(tuple, again.rows())] == [*map(tuple, shown.rows())]
    assert next(iter(again.rows()))[again.columns.index("measure")] == measure
    assert "measure" not in attn_cli.inspect("The cat sat").columns


def test_a_table_of_patches_is_refused() -> None:
    with pytest.raises(InputError, match="is of an image, whose grid of patches a table does not hold"):
        read("query,key,weight,unit\n0,0,1,patch\n")


def test_sentences_of_a_long_table(tmp_path: Path) -> None:
    text = "sentence,kind,layer,head,query,query_text,key,key_text,weight\n" + "".join(
        f"{number},encoder,0,0,{q},{'ab'[q]},{k},{'ab'[k]},{1.0 if q == k else 0.0}\n"
        for number in range(2)
        for q in range(2)
        for k in range(2)
    )
    found = list(read_records(io.BytesIO(text.encode())))
    assert [labels(record) for record in found] == [(["a", "b"],) * 2] * 2
    np.testing.assert_array_equal(found[1].maps[0].weights, [np.eye(2)])


NAN, NEGATIVE, SUMS = weights(3, 3), weights(2, 3, 3), weights(2, 2, 3, 3)
NAN[1, 2], NEGATIVE[1, 0, 2], SUMS[1, 0, 2] = np.nan, -0.5, 0.5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(NAN), "standard input: row 1, column 2 is not a number (nan). Give weights, after"),
        (npy(np.full((2, 2), 1e300)), "standard input: row 0, column 0 is not a number (inf)"),
        (npy(NEGATIVE), "standard input: head 1, row 0, column 2 is negative (-0.5). Give weights, after the softmax"),
        (
            npy(SUMS),
            "standard input: layer 1, head 0, row 2 sums to 1.5000 instead of 1. Show it as it is with --no-che",
        ),
        (
            npy(weights(3)),
            "standard input has shape (3,). Give [query, key], [head, query, key] or [layer, head, query",
        ),
        (npy(weights(1, 1, 1, 2, 2)), "standard input has shape (1, 1, 1, 2, 2). Give"),
        (npy(np.zeros((0, 3))), "standard input has shape (0, 3), which holds nothing"),
        (npy(np.array([[{}]])), "standard input holds Python objects, which are never unpickled. Save it with numpy"),
        (npy(np.array([["a"]])), "standard input holds <U1, and weights are numbers"),
        (npy(np.ones((2, 2), np.complex64)), "standard input holds complex64, and weights are numbers"),
        (npy(weights(3, 3))[:-9], "standard input is damaged: "),
        (b"\x93NUMPY\x01\x00\x04\x00{[(\n", "standard input is damaged: "),
        (npz(w=np.array([[None]])), "standard input holds Python objects, which are never unpickled"),
        (npz(tokens=np.array(["a"])), "standard input holds no array of weights (it has tokens)"),
        (
            npz(a=weights(2, 2), b=weights(3, 3)),
            "standard input holds 2 arrays, which are not a layer each of one text (a 2 × 2, b 3 × 3). Choose one with",
        ),
        (
            npz(a=weights(2, 2), b=weights(2, 1, 2, 2)),
            "standard input holds 2 arrays, which are not a layer each of one text (a 2 × 2, b 2 × 1 × 2 × 2)",
        ),
        (npz(w=weights(2, 2), labels=np.array(["a"])), "standard input has 2 rows, and there is 1 label for them"),
        (pickle.dumps([1]), "standard input is not UTF-8"),
        ("0.5,0.5\n0.5\n", "Row 1 of standard input has 1 numbers, and the first has 2"),
        ("0.5,0.5\n0.5,x\n", "standard input is not a grid of numbers: it holds 'x'"),
        ("a,0.5\nb,c\n", "standard input is not a grid of numbers: it holds 'c'"),
        (",a,b\n", "standard input has labels and no numbers"),
        ("query,key,weight\nle,the,1\n", "The column query of standard input holds something that is not a number. Nu"),
        (',a,b\na,"1,5","2,5"\n', "standard input is not a grid of numbers: it holds '1,5'"),
        ("0.5,0.9\n0.5,0.5\n", "standard input: row 0 sums to 1.4000 instead of 1"),
        ("query,key,weight\n", "standard input has a header and no weights"),
        ("query,key,weight\n0,0\n", "Row 2 of standard input has 2 cells, and the header has 3"),
        ("query,key,weight\n0,it,1\n", "The column key of standard input holds something that is not a number"),
        ("query,key,weight\n0,-1,1\n", "The column key of standard input holds something that is not a number from 0"),
        ("query,key,weight\n0,0,1\n0,0,1\n", "standard input has two weights for one query and key of layer 0"),
        ("kind,query,key,weight\nself,0,0,1\n", "The column kind of standard input holds 'self'"),
    ],
)
def test_what_is_refused(data: bytes | str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(data)
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 300
    assert error.value.remedy


@pytest.mark.parametrize(
    ("labelling", "kind", "message"),
    [
        (
            {"rows": ("a",)},
            InputError,
            "standard input has 3 rows, and there is 1 label for them. Give one for each row",
        ),
        ({"columns": ("a",) * 4}, InputError, "standard input has 3 rows, and there are 4 labels for them"),
        ({"rows": ("a", " ", "c")}, InputError, "The label of row 1 of standard input is empty"),
        ({"kind": "decoder"}, UsageError, "standard input cannot be 'decoder': it has weights above its diagonal"),
        (
            {"kind": "encoder", "rows": ("a", "b", "c"), "columns": ("x", "y", "z")},
            UsageError,
            "standard input cannot be 'encoder': its rows and columns differ in their labels",
        ),
    ],
)
def test_labels_and_kinds_that_do_not_fit(labelling: Mapping[str, Any], kind: type[AttnError], message: str) -> None:
    with pytest.raises(kind) as error:
        read(npy(weights(3, 3)), Labelling(**labelling))
    assert str(error.value).startswith(message)


def test_labels_are_not_for_records() -> None:
    with pytest.raises(UsageError, match="standard input is a record, which has labels of its own"):
        read(to_json(encoder_record()), Labelling(rows=("a", "b")))
    assert len(read(to_json(encoder_record()), Labelling(rows=("output",))).maps) == 2
