"""The glossary that `attn terms` prints: each term with its formula and where it is shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from attn_cli.errors import SelectionError, quoted
from attn_cli.questions.heads.roles import COREFERENCE, FEWEST, FEWEST_CASES, NATS, OFFSET, RELATION, ROLES, Role

__all__ = ["TERMS", "Term", "find_terms"]

CLOSE = 0.7
"""Least similarity, from 0 to 1, between a word and a term that is suggested in its place."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the field, as this tool uses it."""

    name: str
    meaning: str
    """The meaning, in one or two sentences."""
    formula: str = ""
    """The formula; empty for a term that is not a number."""
    shown: str = ""
    """Commands, columns and options that show it."""
    source: str = ""
    """The work that defined it."""
    also: tuple[str, ...] = ()
    """Other names by which it can be looked up."""


def _of_role(role: Role) -> Term:
    """Describe a role as a term: where such a head looks, its score, and the score from which on the role is given."""
    scored = f" With --measure scores: {role.of_scores}, given from {NATS:g} on." if role.of_scores else ""
    many = FEWEST_CASES if role in {RELATION, COREFERENCE} else FEWEST
    beats = f"from {role.threshold:g} on and " if role.threshold else ""
    return Term(
        f"{role.name} head",
        f"A head that looks at {role.looks_at}. The role is given {beats}above {role.baseline}, where at least {many} "
        f"rows tell.{scored}",
        role.formula,
        f"heads; heads --by {role.name.replace(' ', '-')}",
        role.source,
    )


TERMS: tuple[Term, ...] = (
    Term(
        "query",
        "What a position asks with: a projection of its state. The rows of a map are queries.",
        "W_query · state",
        "the rows of every map; --query; explain",
        "Vaswani et al. 2017, section 3.2",
        ("queries", "row"),
    ),
    Term(
        "key",
        "What a position is found by: another projection of its state. The columns of a map are keys.",
        "W_key · state",
        "the columns of every map; explain",
        "Vaswani et al. 2017, section 3.2",
        ("keys", "column"),
    ),
    Term(
        "value",
        "What a position hands over to those that look at it. A key with much weight and a small value gives little.",
        "W_value · state",
        "explain (column |value|); --measure norms",
        "Vaswani et al. 2017, section 3.2",
        ("values", "|value|"),
    ),
    Term(
        "score",
        "How well a key answers a query, before the softmax: their product after scaling, and whatever the model adds. "
        "Minus infinity where a key is masked. find, heads and diff take scores less the mean of their row's (c): what "
        "is added to a whole row changes no weight.",
        "query·key · scaling + bias + mask, or additive: v·tanh(query + key)",
        "explain (1 score); --measure scores",
        "Vaswani et al. 2017, equation 1; Bahdanau et al. 2015, appendix A.1.2",
        ("scores", "logit", "logits", "additive", "v·tanh(q+k)"),
    ),
    Term(
        "query·key",
        "The product of query and key before it is scaled; rotary positions have turned both already.",
        "sum over dim of query · key",
        "explain (column q·k)",
        also=("q·k", "qk", "product", "dot product"),
    ),
    Term(
        "scaling",
        "What the product is multiplied with, so that its size does not grow with the length of the vectors.",
        "1 / sqrt(dim) in most models",
        "explain (column scaled)",
        "Vaswani et al. 2017, section 3.2.1",
        ("scaled",),
    ),
    Term(
        "soft-capping",
        "Keeps scores between two bounds. Its column is what it changes.",
        "cap · tanh(scaled / cap) - scaled",
        "explain (column capping)",
        "Gemma Team 2024, section 2",
        ("capping", "softcap"),
    ),
    Term(
        "bias",
        "What is added to a score for where query and key stand, or by a mask that weighs instead of hiding.",
        "b(position of key - position of query), learned by each head (T5)",
        "explain (column bias)",
        "Raffel et al. 2020, section 2.1",
        ("position bias",),
    ),
    Term(
        "other",
        "What the model's own attention function did to a score besides the parts that are known: the score that it "
        "came to, less those parts.",
        "score - (scaled + soft-capping + bias)",
        "explain (column other)",
    ),
    Term(
        "mask",
        "Hides keys from a query: those to come, in a decoder, and those outside a sliding window.",
        "0 where the key can be seen, minus infinity where not",
        "explain (column mask)",
        "Vaswani et al. 2017, section 3.2.3",
        ("masked", "causal"),
    ),
    Term(
        "softmax",
        "Turns the scores of a row into weights: positive, and 1 in all. The largest score is taken off first, which "
        "changes nothing but keeps the exponentials from overflowing.",
        "exp(score - maximum) / sum over keys of exp(score - maximum)",
        "explain (2 normalize, column exp)",
        also=("normalize", "exp", "exponential", "maximum"),
    ),
    Term(
        "temperature",
        "What scores are divided by before the softmax: below 1 sharpens the weights, above 1 flattens them.",
        "softmax(score / T)",
        "explain --scores … --temperature T",
    ),
    Term(
        "weight",
        "The share of a key's value in what the query gets. It does not say how much the model's answer depends on it.",
        "softmax of the scores over the keys: each row sums to 1",
        "every map and table; explain (2 normalize)",
        "Vaswani et al. 2017, equation 1",
        ("weights", "attention"),
    ),
    Term(
        "context vector",
        "What a head hands on for a query: the values, mixed by the weights.",
        "sum over keys of weight · value",
        "explain (3 weighted sum)",
        "Bahdanau et al. 2015, equation 5",
        ("context", "weighted sum"),
    ),
    Term(
        "share",
        "How much of the context vector comes from one key, measured along the vector. Shares sum to 1; a negative one "
        "pulls the other way.",
        "weight · value · context / |context|^2",
        "explain (column share)",
        also=("shares",),
    ),
    Term(
        "norm",
        "How much of a key's value really arrives: the length of weight times value after the output projection, as a "
        "share of its row. A key with much weight and a short value has little.",
        "|weight · value · W_output| / sum over keys of the same",
        "--measure norms",
        "Kobayashi et al. 2020, equation 6",
        ("norms",),
    ),
    Term(
        "rollout",
        "What reaches a layer from each token, if every layer hands on half by its weights (the mean of its heads) and "
        "half by its residual connection. In cross-attention: its weights, then all of the encoder. Where a learned "
        "sink takes a share of a row, what is left of it is made to sum to 1.",
        "product over the layers of (0.5 · W + 0.5 · I)",
        "--measure rollout",
        "Abnar and Zuidema 2020, section 3",
    ),
    Term(
        "flow",
        "The most that can pass from a layer to each token through the same layers, each weight being the capacity of "
        "its way; as a share of its row. It is the same as rollout in the first layer.",
        "maximum flow through the graph of (0.5 · W + 0.5 · I)",
        "--measure flow",
        "Abnar and Zuidema 2020, section 3",
        ("maximum flow",),
    ),
    Term(
        "residual connection",
        "What passes a layer by: its input, added to what it computes.",
        "state + layer(state)",
        "--measure rollout, --measure flow",
        "He et al. 2016",
    ),
    Term(
        "head",
        "One of the attentions that a layer computes side by side. Named layer.head, both counted from 0.",
        shown="the first column of every table of heads; --head",
        source="Vaswani et al. 2017, section 3.2.2",
        also=("heads",),
    ),
    Term(
        "layer",
        "One of the stages that the states pass through, counted from 0; -1 is the last.",
        shown="the first column of every table of heads; --layer",
        also=("layers",),
    ),
    Term(
        "kind",
        "Which attention: encoder (every position sees every other), decoder (each sees itself and what came before), "
        "or cross (the decoder looks at the encoder's states).",
        shown="the line on the model; --kind",
        also=("encoder", "decoder", "cross", "self-attention", "cross-attention"),
    ),
    Term(
        "entropy",
        "How spread a row is: 0 where all weight is on one key.",
        "-sum over keys of weight · ln(weight), in nats",
        "inspect (column entropy; --sort entropy)",
        "Shannon 1948",
    ),
    Term(
        "focus",
        "How far a row is from even: 0 where every visible key has the same weight, 1 where one key has it all.",
        "1 - entropy / ln(visible keys)",
        "inspect (column focus; --sort focus), explain (the head it chooses)",
    ),
    Term(
        "distance",
        "How far from the query its weight lies, in words or tokens.",
        "sum over keys of weight · |position of query - position of key|",
        "inspect (column distance; --sort distance)",
        "Vig and Belinkov 2019, section 3.3",
    ),
    Term(
        "first",
        "The weight on the first token, where most decoders rest what they need nowhere else.",
        "weight on key 0",
        "inspect (column first; --sort first)",
        "Xiao et al. 2024",
        ("attention sink",),
    ),
    Term(
        "itself",
        "The weight on the query's own position.",
        "weight on the key at the query's position",
        "inspect (column itself; --sort itself)",
    ),
    Term(
        "previous",
        "The weight on the position before the query's.",
        "weight on the key one before the query",
        "inspect (column previous; --sort previous)",
    ),
    Term(
        "strongest link",
        "The largest weight between two different words; special tokens, and a decoder's first token, aside.",
        "largest weight with query and key apart",
        "inspect (column strongest link; --sort link)",
        also=("link", "links"),
    ),
    Term(
        "even row",
        "A row that gives each token that it can see the same weight; to a word, as often as that has tokens.",
        "tokens of the key / visible tokens",
        "find (column × even: the weight divided by it)",
        "",
        ("even",),
    ),
    Term(
        "usual",
        "What a head gives to other words as far apart, in the same direction: much where it looks at a position.",
        "mean of weight(i, i + key - query) over the other i, special tokens aside; with --measure scores, of c",
        "find (column usual; --sort usual)",
    ),
    Term(
        "others",
        "What a head gives to the same word from all others: much in a head that rests on it, whoever asks.",
        "mean of weight(i, key) over the other i, special tokens and the key itself aside; with --measure scores, of c",
        "find (column others; --sort others)",
    ),
    Term(
        "divergence",
        "How far two rows are from each other: 0 bits where they are the same, 1 where they share no key.",
        "(sum of p · log2(p / m) + sum of q · log2(q / m)) / 2, with m = (p + q) / 2",
        "diff (column divergence; --fail-above)",
        "Lin 1991, equations 3.2 and 4.1 (Jensen-Shannon)",
        ("jensen-shannon", "bits"),
    ),
    Term(
        "change",
        "How far the scores of two rows are from each other, in nats, over the keys that both can see (--measure "
        "scores). What is added to a whole row does not count as a change.",
        "root of the mean of (cB - cA)², c a score less the mean of the row's scores over those keys",
        "diff --measure scores (column change; --fail-above)",
        also=("root mean square",),
    ),
    Term(
        "sink",
        "A place that takes weight and gives little: the first token (column first), or in some models a score of its "
        "own that no key has (a learned sink). With a learned sink the weights of a row and its sink sum to 1.",
        "exp(sink score) / (sum over keys of exp(score) + exp(sink score))",
        "--no-sink; explain (row learned sink)",
        "Xiao et al. 2024; OpenAI 2025 (gpt-oss)",
        ("learned sink",),
    ),
    Term(
        "special token",
        "A token that stands for no text: [CLS], </s>, a language.",
        shown="dimmed, everywhere; --no-special",
        also=("special",),
    ),
    Term(
        "token",
        "A piece of a word, as the model reads it. Words are made of tokens: the weight to a word is the sum over its "
        "tokens, the weight from a word the mean.",
        shown="--tokens",
        source="Clark et al. 2019, section 4.1",
        also=("tokens", "piece", "pieces", "word", "words"),
    ),
    Term(
        "input row",
        "In cross-attention, a word's row at the step that reads it.",
        shown="translate; --rows input",
        source="Chen et al. 2020",
    ),
    Term(
        "output row",
        "In cross-attention, a word's row at the step that writes it.",
        shown="translate; --rows output",
        source="Chen et al. 2020",
    ),
    Term(
        "alignment error rate",
        "How wrong word links are, held against links that people made, sure and possible ones. 0 is best.",
        "1 - (|found and sure| + |found and possible|) / (|found| + |sure|)",
        "translate --align --gold",
        "Och and Ney 2003, section 2.2",
        ("aer",),
    ),
    Term(
        "role",
        "What a head is for, by where its weight goes. A head is given a role where its score is above the role's "
        "threshold and above its baseline.",
        shown="heads",
        also=("roles",),
    ),
    Term(
        "baseline",
        "What a score must beat before it says anything: an even row, the best fixed offset, chance.",
        shown="heads (column baseline)",
        also=("baselines",),
    ),
    *map(_of_role, (*ROLES, OFFSET, RELATION, COREFERENCE)),
)


def find_terms(word: str | None) -> Sequence[Term]:
    """Find the terms that a user asks for.

    Args:
        word: a term, or a part of one; None for all.

    Raises:
        SelectionError: no term matches.
    """
    if word is None:
        return TERMS
    wanted = _plain(word)
    exact = [term for term in TERMS if wanted in (_plain(term.name), _called(term), *map(_plain, term.also))]
    found = exact or [term for term in TERMS if wanted and wanted in _plain(term.name)]
    if not found:
        names = {_plain(name): (name, term.name) for term in TERMS for name in (*term.also, term.name)}
        alike = [names[one] for one in difflib.get_close_matches(wanted, names, n=2, cutoff=CLOSE)]
        near = [name if alias == name else f"{name} ({alias})" for alias, name in alike]
        raise SelectionError(
            f"There is no term {quoted(word)}",
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"The terms are: {', '.join(term.name for term in TERMS)}",
        )
    return found


def _called(term: Term) -> str:
    """Return a term's plain name without the word that all roles end in."""
    return _plain(term.name).removesuffix(" head")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
