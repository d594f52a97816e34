"""Parts of a corpus: their names, what schedulers say of them, and which texts they hold."""

from __future__ import annotations

import pytest

from attn_cli.data.shard import Fingerprinted, Shard
from attn_cli.errors import UsageError


def array(task: int, first: int, last: int, count: int, step: int = 1) -> dict[str, str]:
    """Return what SLURM tells a task of a job array."""
    told = {"ID": task, "MIN": first, "MAX": last, "COUNT": count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in told.items()}


@pytest.mark.parametrize(
    ("text", "environment", "number", "of"),
    [
        ("3/16", {}, 3, 16),
        (" 1/1 ", {"RANK": "7"}, 1, 1),
        ("auto", {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, 3, 4),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "0"}, 1, 4),
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "4",
            },
            3,
            3,
        ),
        ("auto", {"RANK": "0", "WORLD_SIZE": "8"}, 1, 8),
        ("auto", {"SLURM_ARRAY_TASK_ID": "", "RANK": "0", "WORLD_SIZE": "8"}, 1, 8),
        ("auto", array(9, 1, 10, 4, step=3), 3, 4),
    ],
)
def test_parts_are_named_or_known_from_the_scheduler(
    text: str, environment: dict[str, str], number: int, of: int
) -> None:
    assert Shard.parse(text, environment) == Shard(number, of)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("3", {}, "--shard '3' is not a part of a corpus. Write it like --shard 3/16"),
        ("-1/4", {}, "is not a part"),
        ("1/0", {}, "is not a part"),
        ("0/4", {}, "--shard 0/4: the part must be from 1 to 4, not 0"),
        ("5/4", {}, "the part must be from 1 to 4, not 5"),
        ("auto", {}, "finds neither SLURM_ARRAY_TASK_ID nor RANK"),
        (
            "auto",
            array(3, 3, 7, 2),
            r"array \(2 tasks from 3 to 7\) is not a whole .* Submit the whole array",
        ),
        ("auto", array(1, 1, 7, 2), r"2 tasks from 1 to 7\) is not a whole one that"),
        ("auto", array(3, 3, 3, 1), r"1 task from 3 to 3\)"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is not set"),
        ("auto", {"RANK": "first", "WORLD_SIZE": "2"}, "RANK is 'first'"),
        ("auto", {"RANK": "2", "WORLD_SIZE": "2"}, "the part must be from 1 to 2, not 3"),
    ],
)
def test_what_is_no_part(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Shard.parse(text, environment)


@pytest.mark.parametrize("texts", [0, 1, 3, 4, 11, 12, 13, 40])
@pytest.mark.parametrize("of", [1, 2, 3, 5])
def test_every_text_is_in_one_part(texts: int, of: int) -> None:
    shards = [Shard(number, of) for number in range(1, of + 1)]
    held = [[text for text in range(texts) if shard.holds(text // 4)] for shard in shards]
    assert sorted(text for own in held for text in own) == list(range(texts))
    assert [shard.count(texts, 4) for shard in shards] == list(map(len, held))


def test_a_fingerprint_is_of_the_texts_and_their_order() -> None:
    def of(*texts: str) -> str:
        whole = Fingerprinted(texts, lambda text: (text, None))
        assert list(whole) == list(texts)
        return whole.fingerprint

    assert of("a", "b") == of("a", "b")
    assert len({of("a", "b"), of("b", "a"), of("ab"), of("a"), of()}) == 5
