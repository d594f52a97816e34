"""Word links by three methods: by hand, and by a loop over the cells as the paper writes it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attn_cli.cli.options import PageOptions, SelectionOptions
from attn_cli.data.shapes import Float
from attn_cli.errors import UsageError
from attn_cli.questions.translate.choices import AlignMethod, LinkChoice
from attn_cli.questions.translate.command import PlainOptions
from attn_cli.questions.translate.pairing import paired
from tests.conftest import Run

# Rows are target words. The strongest of each row are 0, 0, 1; those of each column are 0, 2, 1.
WEIGHTS = [[0.6, 0.2, 0.1], [0.5, 0.2, 0.3], [0.1, 0.3, 0.2]]
# In the second round, word 1 is free, as is source word 2: .9 × .32 = .288 is less than .3.
NEARLY_EVEN = [[0.6, 0.2, 0.1], [0.32, 0.2, 0.3], [0.1, 0.3, 0.2]]


def links(weights: object, method: AlignMethod, least: float = 0.0) -> set[tuple[int, int]]:
    found = paired(np.asarray(weights, np.float32), LinkChoice(method, least))
    return {(int(target), int(source)) for target, source in np.argwhere(found)}


@pytest.mark.parametrize(
    ("weights", "method", "expected"),
    [
        (WEIGHTS, "argmax", {(0, 0), (1, 0), (2, 1)}),
        (WEIGHTS, "mutual", {(0, 0), (2, 1)}),
        # .9 × .5 = .45 on source word 0, which has a link, is more than .3 on 2, which has none.
        (WEIGHTS, "itermax", {(0, 0), (2, 1), (1, 0)}),
        (NEARLY_EVEN, "itermax", {(0, 0), (2, 1), (1, 2)}),
        ([[0.2, 0.2], [0.2, 0.2]], "mutual", {(0, 0)}),
        ([[0.2, 0.2], [0.2, 0.2]], "itermax", {(0, 0), (1, 1)}),
        ([[0.0, 0.0]], "argmax", {(0, 0)}),
        ([[0.0, 0.0]], "mutual", set()),
        (np.zeros((0, 3)), "argmax", set()),
        (np.zeros((2, 0)), "itermax", set()),
    ],
)
def test_by_hand(weights: object, method: AlignMethod, expected: set[tuple[int, int]]) -> None:
    assert links(weights, method) == expected


def test_the_least_weight_belongs_to_the_links() -> None:
    assert links(WEIGHTS, "argmax", 0.5) == {(0, 0), (1, 0)}
    assert links(WEIGHTS, "argmax", 0.51) == {(0, 0)}
    assert links(WEIGHTS, "itermax", 1) == set()
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="--min must be between 0 and 1"):
            LinkChoice("argmax", wrong)


def by_the_paper(weights: Float[np.ndarray, "target source"]) -> set[tuple[int, int]]:
    """Algorithm 1 of Jalili Sabet et al. 2020, cell by cell, with n_max = 2 and α = 0.9."""
    found: set[tuple[int, int]] = set()
    rows, columns = range(weights.shape[0]), range(weights.shape[1])
    for _ in range(2):
        left = {}
        for row in rows:
            for column in columns:
                linked = any(row == one for one, _ in found) + any(column == one for _, one in found)
                left[row, column] = (1.0, 0.9, 0.0)[linked] * float(weights[row, column])
        found |= {
            (row, column)
            for (row, column), value in left.items()
            if value > 0
            and value == max(left[row, other] for other in columns)
            and value == max(left[other, column] for other in rows)
        }
    return found


@pytest.mark.parametrize(
    ("hundredths", "expected"),
    [
        (
            [[94, 62, 68, 89, 57], [77, 83, 22, 5, 30], [28, 87, 91, 0, 49], [82, 13, 79, 11, 46]],
            {(0, 0), (0, 3), (1, 1), (2, 2), (3, 0)},
        ),
        (
            [[61, 25, 97, 94, 6], [18, 19, 17, 58, 34], [48, 23, 95, 67, 66], [11, 15, 89, 31, 85]],
            {(0, 2), (0, 3), (2, 2), (3, 4)},
        ),
    ],
)
def test_as_simalign_links(hundredths: list[list[int]], expected: set[tuple[int, int]]) -> None:
    """The answers are those of `SentenceAligner.iter_max` of simalign 0.4."""
    assert links(np.array(hundredths) / 100, "itermax") == expected


def test_words_left_on_one_side_are_linked_as_the_paper_says() -> None:
    """All target words have a link after the first round, where simalign 0.4 stops, and Algorithm 1 goes on."""
    weights = np.array([[9, 74, 54, 75, 43], [46, 11, 10, 7, 96], [35, 32, 84, 20, 42], [85, 13, 51, 45, 17]]) / 100
    mutual = {(0, 3), (1, 4), (2, 2), (3, 0)}
    assert links(weights, "mutual") == mutual
    assert links(weights, "itermax") == mutual | {(0, 1)}  # .9 × .74 is the most of source word 1, and of row 0 still


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2), (7, 7), (11, 13)])
def test_as_the_paper_says(shape: tuple[int, int]) -> None:
    for seed in range(20):
        weights = np.random.default_rng(seed).random(shape)
        found = paired(weights, LinkChoice("itermax"))
        assert {(int(row), int(column)) for row, column in np.argwhere(found)} == by_the_paper(weights)


def test_the_command(attn: Run) -> None:
    text = ["translate", "She gave him the old book", "--target", "Elle lui a donné le vieux livre"]
    every = attn(*text, "--align").split()
    mutual = attn(*text, "--align", "--align-method", "mutual").split()
    assert set(mutual) < set(every)
    assert len({link.partition("-")[0] for link in mutual}) == len(mutual)
    assert attn(*text, "--align", "--align-method", "argmax").split() == every
    weighed = [link.split(":") for link in attn(*text, "--align-score").split()]
    least = attn(*text, "--align", "--min", "0.8").split()
    assert least == [link for link, weight in weighed if float(weight) >= 0.8]


def test_links_left_out_are_scored_so(attn: Run, tmp_path: Path) -> None:
    gold = tmp_path / "gold.txt"
    gold.write_text("0-0 1-3 2-1 3-4 4-5 5-6\n", encoding="utf-8")
    text = ["translate", "She gave him the old book", "--target", "Elle lui a donné le vieux livre", "--align"]
    count = len(attn(*text, "--align-method", "mutual").split())
    scored = attn(*text, "--gold", str(gold), "--align-method", "mutual", "--min", "0.1")
    assert f"1 sentence; {count} links found, 6 sure in gold" in scored
    assert scored.endswith(" rows, mutual links, weight 0.1 or more\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--min", "0.5"], "--min chooses among word links. Add --align"),
        (["--align-method", "mutual"], "--align-method chooses among word links. Add --align"),
        (["--text-only", "--min", "0.5"], "--min chooses among word links. Add --align"),
        (["--align", "--min", "1.5", "--model", "no/such"], "--min must be between 0 and 1, and 1.5 is not"),
        (["--align", "--min", "nan"], "--min must be between 0 and 1"),
        (["--align", "--align-method", "best"], "is not one of argmax, mutual, itermax"),
        (["--align-score", "--measure", "rollout"], "--align prints only text, so --measure cannot be used with it"),
        (["--align", "--measure", "relevance", "--relevant-to", "chat"], "so --measure cannot be used with it"),
        (["--text-only", "--measure", "norms"], "--text-only prints only text, so --measure cannot be used"),
        (["--text-only", "--rows", "input"], "so --rows cannot be used with it"),
        (["--align", "--figure"], "so --figure cannot be used with it"),
        (["--align", "--dpi", "100"], "so --dpi cannot be used with it"),
        (["--align", "--open"], "so --open cannot be used with it"),
    ],
)
def test_what_cannot_be(options: list[str], said: str, attn: Run) -> None:
    assert said in attn("translate", "The cat sat", *options, code=2)


OPTIONS: dict[str, Any] = {
    "kind": "cross", "layer": "1", "head": "0", "tokens": False, "special": False, "sink": True, "rows": "input",
    "measure": "rollout", "relevant_to": "chat", "all": False, "query": "chat", "top_k": 3, "grid": False,
    "scores": False, "sort": "layer",
}  # fmt: skip


def test_every_option_of_a_selection_is_used_or_refused() -> None:
    assert OPTIONS.keys() == {field.name for field in fields(SelectionOptions)}
    for name, value in OPTIONS.items():
        choice, output = SelectionOptions(**{name: value}), PageOptions()
        refused = pytest.raises(UsageError, match=f"so --{name.replace('_', '-')} cannot be used")
        with refused:
            PlainOptions(text_only=True).check(choice, output, forced=False, verify=False)
        with nullcontext() if name in {"layer", "head", "rows"} else refused:
            PlainOptions(align=True).check(choice, output, forced=False, verify=False)
