"""Quality of the toy models: python benchmarks/quality.py DATA [--model toy] [--model FOLDER] [--only NAME ...].

DATA is the folder with tatoeba-en-fr, tatoeba-test, alibi-alignments and ud-english-ewt; a model is a built-in one or
the folder of one that `attn train` made. Prints what the README and the model cards show, as a table: translation by
sacrebleu, names and numbers, pronouns, word alignments and grammar. The test sentences of `benchmarks/texts` are in no
training data, but for some of the everyday ones, which is printed too. tatoeba-test is for reporting only.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np

from attn_cli.data.plan import name_head
from attn_cli.data.regroup import Regroup
from attn_cli.data.selection import Rows, Selection
from attn_cli.data.stream import Block, Eat, Request, Source
from attn_cli.data.units import Units
from attn_cli.grammar import lexicon
from attn_cli.grammar import sentences as grammar
from attn_cli.grammar.agreement import agrees, said_of_pronoun
from attn_cli.measure.corpus import gather
from attn_cli.measure.quality import Quality, judge
from attn_cli.models import Decoding, Input
from attn_cli.models.toy.folder import BUILT_IN, ToyFolder, built_in
from attn_cli.models.toy.model import Toy
from attn_cli.questions.heads.relations import CollectRelations, Dependency, RelationScore
from attn_cli.questions.heads.treebank import Tree, TreeSource, read_trees
from attn_cli.questions.translate.gold import parse_gold
from attn_cli.questions.why.aligning import GoldPair, error_rate, grammar_pairs
from attn_cli.questions.why.translating import texts as texts_of_why
from attn_cli.train.pairs import Pair, by_source, read_pairs

TEXTS = Path(__file__).parent / "texts"
LENGTHS = (10, 20, 30, 45, 60)
RUNS = 200
"""Number of texts of each length."""
SHORT = 20
"""Most words, on either side, of the pairs whose alignment is scored on their own too."""
SENTENCES = 500
"""Number of the grammar's sentences, held out."""
BEAM = 4
BEAM_SENTENCES = 2000
"""Number of sentences of the public test set that are translated with a beam too."""
RELATIONS = ("nsubj", "obj")


@dataclass(frozen=True)
class Row:
    """A figure of the table."""

    what: str
    figure: str


@dataclass(frozen=True)
class Bench:
    """A model, and the data to judge it by."""

    folder: ToyFolder
    data: Path

    @cached_property
    def model(self) -> Toy:
        """The model, loaded on first use."""
        return Toy(self.folder)

    @cached_property
    def dev(self) -> Mapping[str, Sequence[str]]:
        """Sentences of the aside set, and all their translations."""
        return by_source(read_pairs(self.data / "tatoeba-en-fr" / "dev.tsv"))

    @cached_property
    def seen(self) -> frozenset[str]:
        """The pairs and what was written for the project, both languages, without case and punctuation."""
        pairs = read_pairs(self.data / "tatoeba-en-fr" / "train.tsv")
        phrases = [row.values() for row in lexicon.rows("phrasebook.tsv")]
        return frozenset(plain(text) for pair in (*pairs, *phrases, *lexicon.written()) for text in pair)

    def translated(self, sentences: Sequence[str], beam: int = 1) -> list[str]:
        """Translate sentences."""
        return [one.text for one in self.model.translate(sentences, decoding=Decoding(beam=beam))]


def table(name: str) -> list[dict[str, str]]:
    """Read a table of `benchmarks/texts`, each row by the names of its columns."""
    lines = (TEXTS / name).read_text(encoding="utf-8").splitlines()
    header, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return [dict(zip(header, row, strict=True)) for row in rows]


def plain(text: str) -> str:
    """Leave out case and punctuation."""
    return " ".join(re.findall(r"[\w'-]+", text.lower().replace("’", "'")))


def share(count: int, of: int) -> str:
    return f"{count} of {of}"


def score(made: Sequence[str], references: Sequence[Sequence[str]]) -> Quality:
    """Score translations of sentences of which one may occur twice."""
    numbers = [str(number) for number in range(len(made))]
    return judge(dict(zip(numbers, made, strict=True)), dict(zip(numbers, references, strict=True)))


def said(quality: Quality) -> str:
    return f"BLEU {quality.bleu:.1f}, chrF {quality.chrf:.1f}"


# --- translation


def dev(bench: Bench) -> Iterator[Row]:
    sentences, references = list(bench.dev), list(bench.dev.values())
    for beam in (1, BEAM):
        made = bench.translated(sentences, beam)
        yield Row(
            f"own dev set, {len(made)} sentences, all references, {decoding(beam)}", said(score(made, references))
        )
        first = [each[:1] for each in references]
        yield Row(f"own dev set, {len(made)} sentences, one reference, {decoding(beam)}", said(score(made, first)))


def public(bench: Bench) -> Iterator[Row]:
    folder = bench.data / "tatoeba-test"
    sources, references = (
        (folder / name).read_text(encoding="utf-8").splitlines() for name in ("source.eng", "reference.fra")
    )
    for beam, count in ((1, len(sources)), (BEAM, BEAM_SENTENCES)):
        made = bench.translated(sources[:count], beam)
        quality = score(made, [[reference] for reference in references[:count]])
        yield Row(f"public test set, {len(made)} sentences, one reference, {decoding(beam)}", said(quality))


def decoding(beam: int) -> str:
    return "greedy" if beam == 1 else f"beam {beam}"


def writing(bench: Bench) -> Iterator[Row]:
    """Score the dev set as users type it: without the final full stop, in lower case, in capitals."""
    sentences, references = list(bench.dev), list(bench.dev.values())
    made = bench.translated(sentences)

    def bleu(translations: Sequence[str], change: Callable[[str], str]) -> float:
        return score([change(one) for one in translations], [[change(one) for one in each] for each in references]).bleu

    typed = {
        "without full stop": (unstopped, unstopped),
        "in lower case": (str.lower, str.lower),
        "in capitals": (str.upper, str.lower),
    }
    for name, (change, scored) in typed.items():
        changed = bleu(bench.translated([change(one) for one in sentences]), scored)
        yield Row(f"dev set {name}: BLEU, and as it is, scored alike", f"{changed:.1f}, {bleu(made, scored):.1f}")


def unstopped(text: str) -> str:
    return re.sub(r"\s*\.$", "", text)


def lengths(bench: Bench) -> Iterator[Row]:
    scores = {}
    for length, texts in texts_by_length([(source, targets[0]) for source, targets in bench.dev.items()]).items():
        scores[length] = score(bench.translated(list(texts)), list(texts.values()))
        yield Row(f"chrF of {RUNS} joined texts of at most {length} words", f"{scores[length].chrf:.1f}")
    first, last = scores[LENGTHS[0]].chrf, scores[LENGTHS[-1]].chrf
    yield Row("lost from the first to the last", f"{100 * (first - last) / first:.0f} %")


def texts_by_length(pairs: Sequence[Pair]) -> Mapping[int, Mapping[str, Sequence[str]]]:
    """Join pairs one after another, in groups of up to so many words of the source."""
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


# --- everyday use


def everyday(bench: Bench) -> Iterator[Row]:
    rows = table("everyday.tsv")
    made = bench.translated([row["english"] for row in rows])
    wrong = [
        f"{row['english']} -> {one}"
        for row, one in zip(rows, made, strict=True)
        if not re.fullmatch(row["french"], plain(one))
    ]
    known = sum(plain(row["english"]) in bench.seen for row in rows)
    yield Row(
        f"everyday sentences with an expected translation ({known} are in the training data)",
        share(len(rows) - len(wrong), len(rows)),
    )
    for one in wrong:
        yield Row("to be judged by eye", one)


def copied(bench: Bench, name: str, canonical: Callable[[str], str]) -> Iterator[Row]:
    """Count what the French must have word for word."""
    rows = table(f"{name}.tsv")
    found = total = 0
    for row, made in zip(rows, bench.translated([row["english"] for row in rows]), strict=True):
        wanted = row[name].split()
        words = re.findall(r"\w+(?:,\d+)?", canonical(made))
        total += len(wanted)
        found += sum(word in words for word in wanted)
    yield Row(f"{name} copied, in {len(rows)} sentences", share(found, total))


def names(bench: Bench) -> Iterator[Row]:
    yield from copied(bench, "names", str)


def numbers(bench: Bench) -> Iterator[Row]:
    yield from copied(bench, "numbers", written_together)


def written_together(text: str) -> str:
    """Write clock times as `8h45`, and large numbers without spaces."""
    text = re.sub(r"(\d)\s*(?:heures?|h|:)\s*(\d\d)\b", r"\1h\2", text)
    return re.sub(r"(?<=\d)[\s.](?=\d{3}\b)", "", text)


# --- pronouns


def twins(bench: Bench) -> Iterator[Row]:
    rows = table("pronouns.tsv")
    right = [
        is_right(row["pronoun"], made)
        for row, made in zip(rows, bench.translated([row["english"] for row in rows]), strict=True)
    ]
    pairs = np.reshape(right, (-1, 2))
    yield Row("pronoun in twins of everyday reasons that the grammar cannot make", share(sum(right), len(right)))
    yield Row("both twins right", share(int(pairs.all(axis=1).sum()), len(pairs)))


def is_right(pronoun: str, translation: str) -> bool:
    """Judge the statement about the pronoun, or else the last pronoun."""
    statements = said_of_pronoun(translation) or [
        (word, "") for word in re.findall(r"\b(il|elle)\b", translation.lower())[-1:]
    ]
    gender: Any = "m" if pronoun == "il" else "f"
    return bool(statements) and all(
        found == pronoun and (not adjective or agrees(adjective, gender)) for found, adjective in statements[-1:]
    )


def pronouns(bench: Bench) -> Iterator[Row]:
    sets: dict[str, Sequence[grammar.Example]] = {"": grammar.held_out(SENTENCES)}
    sets |= {f" by {by}": grammar.held_out(SENTENCES, by=by) for by in get_args(grammar.HeldOutBy)}
    drawn = islice(grammar.pairs(17, held_out=True, by="pair"), 20_000)
    sets[" by pair, animal and street alone"] = [
        one for pair in drawn for one in pair if nouns(one) == {"animal", "street"}
    ]
    for kept, examples in sets.items():
        made = bench.translated([one.english for one in examples])
        right = np.mean([grammar.is_right(one, text) for one, text in zip(examples, made, strict=True)])
        yield Row(
            f"pronoun and agreement right, {len(examples)} sentences of the grammar held out{kept}",
            f"{100 * right:.1f} %",
        )
        if "encoder" in bench.model.info.stacks:
            (layer, head), alone, both = pronoun_heads(bench.model, examples)[0]
            yield Row(
                f"head {layer}.{head} looks from the pronoun to its noun, and in both twins, held out{kept}",
                f"{100 * alone:.1f} %, {100 * both:.1f} %",
            )
    known = "The animal didn't cross the street because it was too {}."
    for translation in bench.translated([known.format(word) for word in ("tired", "wide")]):
        yield Row("the best-known pair", translation)


def nouns(example: grammar.Example) -> set[str]:
    assert example.coreference is not None
    return {example.english[slice(*span)] for span in (example.coreference.meant, example.coreference.other)}


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


# --- alignment and grammar


def alignment(bench: Bench) -> Iterator[Row]:
    if "cross" not in bench.model.info.stacks:
        return
    path = bench.data / "alibi-alignments" / "gold.tsv"
    gold: list[GoldPair] = [
        (english, french, parse_gold(links))
        for english, french, links in (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    ]
    short = [pair for pair in gold if max(len(pair[0].split()), len(pair[1].split())) <= SHORT]
    for head in cross_heads(bench):
        for rows in get_args(Rows):
            selection = Selection(head=head, rows=rows, translation=True)
            for name, pairs in ((f"of at most {SHORT} words", short), ("", gold)):
                rate = error_rate(bench.model, pairs, selection)
                yield Row(
                    f"alignment error rate of head {head}, {rows} rows, {len(pairs)} pairs {name}".strip(),
                    f"{100 * rate:.1f}",
                )
    simple = grammar_pairs([*grammar.held_out(100), *grammar.simple_held_out(100)])
    rate = error_rate(bench.model, simple, Selection(translation=True))
    yield Row("alignment error rate on the grammar's held-out sentences, as declared", f"{100 * rate:.1f}")


def cross_heads(bench: Bench) -> list[str]:
    """Name the cross-attention heads that the model declares, or that were trained towards alignments."""
    declared = bench.model.info.alignment
    heads = [] if declared is None else [name_head(declared.layer, head) for head in declared.heads]
    known: Any = bench.folder.known or {}
    heads += [name_head(one["layer"], one["head"]) for one in known.get("guided", ()) if one["kind"] == "cross"]
    return list(dict.fromkeys(heads))


class Trees:
    """Collector of the relations of a treebank that heads find."""

    def __init__(self, model: Toy) -> None:
        stacks = model.info.stacks["encoder"].heads
        self._heads = {layer: tuple(range(count)) for layer, count in stacks.items()}
        self.relations = CollectRelations()

    def request(self, _: Source) -> Request:
        """Ask for all encoder heads."""
        return Request(heads={"encoder": self._heads})

    def turn(self, source: Source) -> Eat:
        """Turn to the next sentence."""
        assert isinstance(source, TreeSource)
        units = source.units()
        places = source.unit_of(units)
        links = [
            Dependency(dependent, head, one.name)
            for one in source.tree.relations
            if (dependent := places[one.dependent]) is not None and (head := places[one.head]) is not None
            if dependent != head
        ]
        self.relations.turn(len(units), links)
        return Regroup(units, units, self.relations, renormalize=False)


def treebank(bench: Bench) -> Iterator[Row]:
    if "encoder" not in bench.model.info.stacks:
        return
    collect = Trees(bench.model)
    trees = read_trees(bench.data / "ud-english-ewt" / "en_ewt-ud-dev.conllu")
    prepared = (
        TreeSource.of(bench.model.prepare(Input(tree.text, truncate=True)), tree)
        for tree in trees
        if isinstance(tree, Tree)
    )
    gather(prepared, collect)
    scores = collect.relations.result()
    for relation in RELATIONS:
        found: RelationScore = max(
            (one for one in scores if (one.relation, one.way) == (relation, "to head")), key=lambda one: one.accuracy
        )
        yield Row(
            f"head {found.layer}.{found.head} looks from {relation} to its head, and the best offset, "
            f"{found.count} times in UD English EWT dev",
            f"{found.accuracy:.2f}, {found.baseline:.2f}",
        )


def unseen(bench: Bench) -> Iterator[Row]:
    """Count what is said to be in no training data, and is."""
    sentences = {
        "attn why long-sequences": [one for pair in texts_of_why() for text in pair for one in sentences_of(text)],
        **{name: [row["english"] for row in table(f"{name}.tsv")] for name in ("names", "numbers", "pronouns")},
    }
    for name, texts in sentences.items():
        count = sum(plain(one) in bench.seen for one in texts)
        yield Row(f"sentences of {name} in the training data", share(count, len(texts)))


def sentences_of(text: str) -> list[str]:
    return re.split(r"(?<=[.?!])\s+", text)


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "dev": dev,
    "public": public,
    "writing": writing,
    "names": names,
    "numbers": numbers,
    "twins": twins,
    "everyday": everyday,
    "pronouns": pronouns,
    "alignment": alignment,
    "treebank": treebank,
    "lengths": lengths,
    "unseen": unseen,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", action="append", help="a built-in model, or the folder of a trained one")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part of the table")
    options = parser.parse_args()
    for name in options.model or BUILT_IN:
        bench = Bench(ToyFolder(name, built_in(name) if name in BUILT_IN else Path(name)), options.data)
        print(f"## {name}\n\n| what | figure |\n| --- | --- |")
        for part in options.only or PARTS:
            for row in PARTS[part](bench):
                print(f"| {row.what} | {row.figure} |", flush=True)
        print()


if __name__ == "__main__":
    main()
