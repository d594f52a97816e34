"""Pairs as they are trained on: links carried to tokens, joined runs, batches, a vocabulary that knows everything."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer

from attn_cli.grammar.sentences import WordRelation
from attn_cli.grammar.words import spaced, spans
from attn_cli.train.augmentation import Rates
from attn_cli.train.batches import Encoded, Mixture, batches, encode, joined, make_batch, split_tokens
from attn_cli.train.linked import Linked
from attn_cli.train.splitting import Splitter
from attn_cli.train.vocabulary import END, PAD, train_tokenizer

PAIRS = [
    ("The cat didn't see Tom's friend.", "Le chat n'a pas vu l'ami de Tom."),
    ("It was too big!", "Il était trop grand !"),
    ("Where is the cat?", "Où est le chat ?"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([side for pair in PAIRS for side in pair] * 5, 400)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat didn't see Tom's friend.", ["The", "cat", "didn't", "see", "Tom", "'s", "friend", "."]),
        ("Le chat n'a pas vu l'ami.", ["Le", "chat", "n'", "a", "pas", "vu", "l'", "ami", "."]),
        ("Qu'est-ce ? 1999", ["Qu'", "est", "-", "ce", "?", "1999"]),
        ("", []),
    ],
)
def test_words_stand_on_their_own(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in spans(text)] == words


def test_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(number) for number in (0, 1, 2)] == [PAD, END, "<0x00>"]
    assert tokenizer.encode("It").ids[-1] == 1


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁\x00"), min_size=1).filter(str.strip)
)
def test_no_text_is_unknown_and_all_come_back(text: str) -> None:

    made = _TOKENIZER.decode(_TOKENIZER.encode(text).ids)
    expected = unicodedata.normalize("NFC", text).replace("’", "'")
    assert made == expected.removeprefix(" ") or made == expected


_TOKENIZER = train_tokenizer([side for pair in PAIRS for side in pair] * 5, 400)


@pytest.mark.parametrize("text", ["Didn't he see l'aiguille?", "É  a", "😀 中文 Ünïcödé", "ÇA ALORS… 12,5 %"])
def test_case_accents_marks_and_emoji_survive(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def touching(encoding: Encoding, span: tuple[int, int]) -> list[str]:
    places = zip(encoding.tokens, encoding.offsets, strict=True)
    return [token for token, (start, end) in places if start < span[1] and end > span[0]]


def test_links_reach_all_tokens_of_their_words(tokenizer: Tokenizer) -> None:
    english, french = PAIRS[0]
    word = (english.index("friend"), english.index("friend") + 6)
    other = (french.index("ami"), french.index("ami") + 3)
    (pair,) = encode(tokenizer, [Linked(english, french, ((word, other),), (WordRelation("subject", (0, 3), word),))])
    ours, theirs = tokenizer.encode(english), tokenizer.encode(french)
    linked = {(theirs.tokens[target], ours.tokens[source]) for target, source in pair.links.tolist()}
    targets = [
        token
        for token, span in zip(theirs.tokens, theirs.offsets, strict=True)
        if span[0] < other[1] and span[1] > other[0]
    ]
    sources = [
        token for token, span in zip(ours.tokens, ours.offsets, strict=True) if span[0] < word[1] and span[1] > word[0]
    ]
    assert linked == {(target, source) for target in targets for source in sources}
    assert {ours.tokens[query] for query, _ in pair.relations["subject"].tolist()} == {"▁The"}
    assert {ours.tokens[key] for _, key in pair.relations["subject"].tolist()} == set(sources)
    assert pair.words == 6


def test_spaced_texts_keep_their_words() -> None:
    text, moved = spaced("l'ami, Tom!", [(2, 5), (7, 10)])
    assert text == "l' ami , Tom !"
    assert [text[start:end] for start, end in moved] == ["ami", "Tom"]


def random_pair(seed: int) -> Encoded:
    random = np.random.default_rng(seed)
    source = np.append(random.integers(2, 99, random.integers(1, 11)), 1).astype(np.int32)
    target = np.append(random.integers(2, 99, random.integers(1, 13)), 1).astype(np.int32)
    links = np.asarray([[len(target) - 2, 0]], np.int32)
    return Encoded(source, target, links, {"object": np.asarray([[0, len(source) - 2]], np.int32)}, len(source) - 1)


def test_runs_are_their_pairs_one_after_another() -> None:
    pairs = [random_pair(seed) for seed in range(7)]
    runs = joined(pairs, 50, 23, np.random.default_rng(1))
    assert runs
    by_source = {tuple(pair.source[:-1].tolist()): pair for pair in pairs}
    for run in runs:
        assert 2 <= run.words <= 23
        assert run.source[-1] == run.target[-1] == 1
        assert (run.source[:-1] != 1).all()
        # The first link is the first pair's own, and each later one points into its own pair.
        assert len(run.links) == len(run.relations["object"])
        sources = run.links[:, 1].tolist()
        assert sources == sorted(sources)
        first = next(pair for key, pair in by_source.items() if run.source[: len(key)].tolist() == list(key))
        assert run.links[0].tolist() == first.links[0].tolist()
        for (target, source), (pronoun, noun) in zip(run.links.tolist(), run.relations["object"].tolist(), strict=True):
            pair = next(
                p for key, p in by_source.items() if run.source[source : source + len(key)].tolist() == list(key)
            )
            assert run.target[target] == pair.target[-2]
            assert (run.source[pronoun], run.source[noun]) == (pair.source[0], pair.source[-2])


def test_a_batch_shifts_what_the_decoder_reads() -> None:
    first = Encoded(
        np.asarray([5, 6, 1], np.int32),
        np.asarray([7, 1], np.int32),
        np.asarray([[0, 1]], np.int32),
        {},
        2,
    )
    second = Encoded(
        np.asarray([8, 1], np.int32),
        np.asarray([9, 10, 11, 1], np.int32),
        np.asarray([[2, 0]], np.int32),
        {"coreference": np.asarray([[0, 0]], np.int32)},
        1,
    )
    batch = make_batch([first, second])
    assert batch.source.tolist() == [[5, 6, 1], [8, 1, 0]]
    assert batch.read.tolist() == [[0, 7, 0, 0], [0, 9, 10, 11]]
    assert batch.written.tolist() == [[7, 1, 0, 0], [9, 10, 11, 1]]
    assert np.argwhere(batch.targets["reading"]).tolist() == [[0, 1, 1], [1, 3, 0]]
    assert np.argwhere(batch.targets["writing"]).tolist() == [[0, 0, 1], [1, 2, 0]]
    assert np.argwhere(batch.targets["coreference"]).tolist() == [[1, 0, 0]]
    assert not batch.targets["subject"].any()
    assert batch.tokens == 6


def test_batches_hold_every_pair_once_within_their_size() -> None:
    pairs = [random_pair(seed) for seed in range(101)]
    made = list(batches(pairs, 60, np.random.default_rng(2)))
    assert all(max(batch.source.size, batch.written.size) <= 60 for batch in made)
    rows = [tuple(row[row != 0].tolist()) for batch in made for row in batch.source]
    assert sorted(rows) == sorted(tuple(pair.source.tolist()) for pair in pairs)


def test_an_epoch_follows_its_number_and_holds_every_text(tokenizer: Tokenizer) -> None:
    pairs = [(f"Tom sees {number} cats.", f"Tom voit {number} chats.") for number in range(2, 90)]
    unvaried = Mixture(tokenizer, pairs, None, 0, 3, 97, Rates(0, 0, 0, 0, 0, 0, 0))
    sources = [row for batch in unvaried.epoch(0, unvaried.fixed(), 300) for row in batch.source.tolist()]
    texts = {tokenizer.decode(row) for row in sources}
    assert all(any(english in text for text in texts) for english, _ in pairs)
    mixture = Mixture(tokenizer, pairs, None, 30, 3, 97, Rates(split=0.5))
    one, same, other = (
        [batch.source.tolist() for batch in mixture.epoch(number, mixture.fixed(), 300)] for number in (0, 0, 1)
    )
    assert one == same
    assert one != other


def test_split_tokens_keep_text_links_and_relations(tokenizer: Tokenizer) -> None:
    english, french = PAIRS[0]
    word, other = (english.index("friend"), english.index("friend") + 6), (french.index("ami"), french.index("ami") + 3)
    (pair,) = encode(tokenizer, [Linked(english, french, ((word, other),), (WordRelation("object", word, (0, 3)),))])
    random, splitter = np.random.default_rng(3), Splitter(tokenizer)
    for _ in range(30):
        split = split_tokens(pair, splitter, random)
        assert tokenizer.decode(split.source.tolist()) == english
        pieces = [split.source[index] for index in sorted(set(split.links[:, 1].tolist()))]
        assert tokenizer.decode(pieces) == "friend"
        assert {row for row, _ in split.relations["object"].tolist()} == set(split.links[:, 1].tolist())
    assert len(split.source) >= len(pair.source)
