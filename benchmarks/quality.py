"""How good the toy models are: python benchmarks/quality.py DATA [MODEL ...].

DATA is a folder with tatoeba-en-fr/dev.tsv and alibi-alignments/gold.tsv. Prints what the README and the model cards
show: translation by sacrebleu, by length of the source, pronouns, and alignments.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.stream import Block, Request
from attn_cli.data.units import Units
from attn_cli.grammar import sentences as grammar
from attn_cli.measure.quality import Quality, judge
from attn_cli.models import Decoding, Input, load
from attn_cli.models.toy.folder import BUILT_IN
from attn_cli.models.toy.model import Toy
from attn_cli.questions.translate.align import Gold
from attn_cli.questions.translate.gold import parse_gold
from attn_cli.questions.why.aligning import error_rate, grammar_pairs
from attn_cli.train.pairs import Pair, by_source, read_pairs

LENGTHS = (10, 20, 30, 45, 60)
RUNS = 200
"""Texts of each length."""
ALIGNED = 20
"""Words of the longest pairs whose alignment is scored."""
SENTENCES = 500
"""Of the grammar, held out."""


def translated(model: Any, sentences: Sequence[str], beam: int = 1) -> dict[str, str]:
    found = model.translate(sentences, decoding=Decoding(beam=beam))
    return dict(zip(sentences, (one.text for one in found), strict=True))


def texts_by_length(pairs: Sequence[Pair]) -> Mapping[int, Mapping[str, Sequence[str]]]:
    """Pairs joined one after another, in groups of up to so many words of the source."""
    random = np.random.default_rng(5)
    texts: dict[int, dict[str, list[str]]] = {length: {} for length in LENGTHS}
    for shortest, longest in zip((0, *LENGTHS), LENGTHS, strict=False):
        while len(texts[longest]) < RUNS:
            source, target = "", ""
            for index in random.permutation(len(pairs)):
                longer = f"{source} {pairs[index][0]}".strip()
                if len(longer.split()) > longest:
                    if len(source.split()) > shortest:
                        break
                    continue
                source, target = longer, f"{target} {pairs[index][1]}".strip()
            texts[longest][source] = [target]
    return texts


def pronouns(model: Any, examples: Sequence[grammar.Example]) -> float:
    made = translated(model, [one.english for one in examples])
    return float(np.mean([grammar.is_right(one, made[one.english]) for one in examples]))


def pronoun_heads(model: Toy, examples: Sequence[grammar.Example]) -> list[tuple[tuple[int, int], float, float]]:
    """Each encoder head, how often its strongest word for the pronoun is the noun meant, and in both twins."""
    heads = {layer: tuple(range(count)) for layer, count in model.info.stacks["encoder"].heads.items()}
    right: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for one in examples:
        assert one.coreference is not None
        source = model.prepare(Input(one.english))
        units = Units.of(source.source)
        words = [source.source.words[i] for i in range(len(source.source.words))]
        pronoun, meant = (
            next(i for i, word in enumerate(words) if word.start <= span[0] < word.end)
            for span in (one.coreference.pronoun, one.coreference.meant)
        )

        def eat(block: Block, pronoun: int = pronoun, meant: int = meant) -> None:
            for head in block.heads:
                row = block.weights[head, pronoun].copy()
                row[pronoun] = 0  # a word other than itself
                right[block.layer, head].append(int(row.argmax()) == meant)

        source.stream(Request(heads={"encoder": heads}), Regroup(units, units, eat))
    rows = []
    for place, hits in right.items():
        pairs = np.asarray(hits).reshape(-1, 2)
        rows.append((place, float(pairs.mean()), float(pairs.all(axis=1).mean())))
    return sorted(rows, key=lambda row: -row[2])


def gold_pairs(path: Path) -> list[tuple[str, str, Gold]]:
    """Pairs of at most so many words on both sides, with the links that people made."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    short = [row for row in rows if max(len(row[0].split()), len(row[1].split())) <= ALIGNED]
    return [(row[0], row[1], parse_gold(row[2])) for row in short]


def report(name: str, data: Path) -> None:
    model = load(name)
    assert isinstance(model, Toy)
    references = by_source(read_pairs(data / "tatoeba-en-fr" / "dev.tsv"))
    pairs = [(source, targets[0]) for source, targets in references.items()]
    print(f"## {name}\n")
    for beam in (1, 4):
        quality = judge(translated(model, list(references), beam), references)
        print(
            f"beam {beam}: BLEU {quality.bleu:.1f}, chrF {quality.chrf:.1f} on {quality.sentences} sentences",
            flush=True,
        )
    scores: dict[int, Quality] = {}
    for length, texts in texts_by_length(pairs).items():
        scores[length] = judge(translated(model, list(texts)), texts)
    print("chrF by words: " + ", ".join(f"<= {length}: {score.chrf:.1f}" for length, score in scores.items()))
    first, last = scores[LENGTHS[0]].chrf, scores[LENGTHS[-1]].chrf
    print(f"lost from the first to the last: {100 * (first - last) / first:.0f} %", flush=True)
    examples = grammar.held_out(SENTENCES)
    print(f"pronoun and agreement right: {100 * pronouns(model, examples):.1f} % of {len(examples)} held-out sentences")
    if "encoder" in model.info.stacks:
        for (layer, head), share, both in pronoun_heads(model, examples)[:3]:
            print(
                f"head {layer}.{head} looks from the pronoun to its noun: {100 * share:.1f} %, "
                f"and moves with the adjective: {100 * both:.1f} %"
            )
    if "cross" in model.info.stacks:
        alignment = model.info.alignment
        assert alignment is not None
        aligned = gold_pairs(data / "alibi-alignments" / "gold.tsv")
        sides: tuple[Rows, ...] = ("input", "output")
        for rows in sides:
            selection = Selection(head=f"{alignment.layer}.{alignment.heads[0]}", rows=rows, translation=True)
            rate = error_rate(model, aligned, selection)
            declared = " (declared)" if rows == alignment.rows else ""
            print(
                f"alignment error rate of head {selection.head}, {rows} rows{declared}: "
                f"{100 * rate:.1f} on {len(aligned)} pairs"
            )
        selection = Selection(translation=True)
        simple = grammar_pairs([*examples[:100], *grammar.simple_held_out(100)])
        print(f"on the grammar's held-out sentences: {100 * error_rate(model, simple, selection):.1f}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=list(BUILT_IN))
    options = parser.parse_args()
    for name in options.models:
        report(name, options.data)


if __name__ == "__main__":
    main()
