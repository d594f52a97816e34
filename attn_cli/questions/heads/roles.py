"""Roles that a head can have: their names, the keys that they look at, and the baselines that they must beat.

Imports nothing heavy: the command's options and the glossary read the table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from attn_cli.data.model import GuidedRole
    from attn_cli.data.shapes import Int
    from attn_cli.data.units import Units

    Pairs = tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]
    """Queries (ascending) and keys, as indices into the units shown."""
    PairsOfRows = Callable[[int, int], Pairs]
    """A function that finds the pairs in the rows from one number up to but not including another."""
    FindKeys = Callable[[Units, Units, bool], PairsOfRows]
    """A function that returns how to find the pairs of a role, from the units along the rows, those along the columns,
    and whether this is cross-attention. All pairs of a long text may be too many to hold."""

__all__ = [
    "ALIGNMENT",
    "COREFERENCE",
    "ERRORS",
    "EVERY_ROLE",
    "FEWEST",
    "FEWEST_CASES",
    "GUIDED",
    "NATS",
    "OFFSET",
    "RELATION",
    "RETRIEVAL",
    "ROLES",
    "Role",
    "find_role",
]

FEWEST = 5
"""Least number of rows for a head to have a role."""
FEWEST_CASES = 20
"""Least number of cases for a head to have a relation or coreference as its role."""
NATS = 1.0
"""Margin in nats of a role's scores over the mean of their rows: e times the weight of a key at the mean."""
ERRORS = 3
"""Standard errors by which a head must beat its baseline: the best of a hundred heads is two above by chance alone."""


@dataclass(frozen=True)
class Role:
    """Role that a head can have."""

    name: str
    short: str
    """Name in at most four letters, for a cell."""
    letter: str
    """Name in one letter."""
    looks_at: str
    """Description of what a head of this role looks at from word i."""
    formula: str
    """Formula of the score."""
    threshold: float
    """Least score for a head to have the role."""
    baseline: str
    """Description of the baseline that the score must exceed."""
    source: str = ""
    """Paper that described the role."""
    keys: FindKeys | None = None
    """Function that finds the keys of the role in a text; None if its score is found in another way."""
    crosses: bool = False
    """True if cross-attention can have the role too."""
    pairs: str = ""
    """Formula over attention scores instead of weights, where a row may have several keys of the role; else empty."""
    has_rest: bool = True
    """False if the role is about the first key or the query's own, without which a row's rest is told."""
    less_exact: str = ""
    """Name of the less exact role that a head of this role has as well, as shown: `offset -1`."""
    probed: bool = False
    """True if `--probe` measures it better than a text."""
    fewest: int = FEWEST
    """Least number of rows for a head to have the role."""

    @property
    def option(self) -> str:
        """Name of the role as a value of `--by`."""
        return self.name.replace(" ", "-")

    @property
    def of_scores(self) -> str:
        """Formula over attention scores, c being a score less the mean of its row; empty if there is none."""
        return self.pairs or (self.formula.replace("w[", "c[") if "w[" in self.formula else "")

    def by_scores(self) -> Role:
        """Return the role as measured over attention scores instead of weights."""
        if not self.of_scores:
            return self
        return replace(self, formula=self.of_scores, threshold=NATS, baseline="0, as in an even row")


_MEAN = "mean over i of "
_EVEN = "an even row"
CLARK = "Clark et al. 2019, section 3"
OLSSON = "Olsson et al. 2022"


def _listed(queries: Sequence[int] | np.ndarray, keys: Sequence[int] | np.ndarray) -> PairsOfRows:
    """Hold pairs, of which there are no more than a few for each row."""
    import numpy as np

    rows, columns = np.asarray(queries, np.intp), np.asarray(keys, np.intp)

    def within(start: int, stop: int) -> Pairs:
        inside = slice(*np.searchsorted(rows, (start, stop)))
        return rows[inside], columns[inside]

    return within


def _shifted(by: int) -> FindKeys:
    def pairs(queries: Units, _keys: Units, _cross: bool) -> PairsOfRows:
        import numpy as np

        rows = np.arange(max(-by, 0), len(queries) - max(by, 0))
        return _listed(rows, rows + by)

    return pairs


def _first(queries: Units, keys: Units, _cross: bool) -> PairsOfRows:
    import numpy as np

    rows = np.arange(len(queries) if keys.shows_first else 0)
    return _listed(rows, np.zeros_like(rows))


def _separators(queries: Units, keys: Units, _cross: bool) -> PairsOfRows:
    import numpy as np

    first = int(keys.shows_first)
    columns = [
        index
        for index in range(first, len(keys))
        if keys.special[index] or all(unicodedata.category(letter)[0] == "P" for letter in keys.labels[index].strip())
    ]
    count, marks = len(queries), np.asarray(columns, np.intp)

    def within(start: int, stop: int) -> Pairs:
        rows = np.arange(max(start, 0), min(stop, count))
        return np.repeat(rows, len(marks)), np.tile(marks, len(rows))

    return within


def _same(queries: Units, keys: Units, cross: bool) -> PairsOfRows:
    import numpy as np

    found: dict[str, list[int]] = {}
    for index, word in enumerate(keys.read_as):
        if word is not None:
            found.setdefault(word, []).append(index)
    places = {word: np.asarray(indices, np.intp) for word, indices in found.items()}
    words = queries.read_as

    def within(start: int, stop: int) -> Pairs:
        start, stop = max(start, 0), min(stop, len(words))
        nowhere = np.zeros(0, np.intp)
        columns = [nowhere if word is None else places.get(word, nowhere) for word in words[start:stop]]
        rows = np.repeat(np.arange(start, max(stop, start)), [len(own) for own in columns])
        keys_of_rows = np.concatenate([nowhere, *columns])
        others = np.full(len(rows), True) if cross else rows != keys_of_rows
        return rows[others], keys_of_rows[others]

    return within


def _previous_occurrences(units: Units) -> list[tuple[int, int]]:
    """Find the index of each repeated word, with the index of its previous occurrence."""
    last: dict[str, int] = {}
    found = []
    for index, word in enumerate(units.read_as):
        if word is None:
            continue
        if word in last:
            found.append((index, last[word]))
        last[word] = index
    return found


def _occurrence(queries: Units, _keys: Units, _cross: bool) -> PairsOfRows:
    found = _previous_occurrences(queries)
    return _listed([row for row, _ in found], [column for _, column in found])


def _induction(queries: Units, _keys: Units, _cross: bool) -> PairsOfRows:
    found = [(row, column + 1) for row, column in _previous_occurrences(queries) if column + 1 < row]
    return _listed([row for row, _ in found], [column for _, column in found])


ROLES: tuple[Role, ...] = (
    Role(
        "previous",
        "prev",
        "p",
        "the word before it",
        _MEAN + "w[i, i-1]",
        0.5,
        _EVEN,
        CLARK,
        _shifted(-1),
        less_exact="offset -1",
    ),
    Role(
        "next",
        "next",
        "n",
        "the word after it",
        _MEAN + "w[i, i+1]",
        0.5,
        _EVEN,
        CLARK,
        _shifted(1),
        less_exact="offset +1",
    ),
    Role(
        "self",
        "self",
        "s",
        "itself",
        _MEAN + "w[i, i]",
        0.5,
        _EVEN,
        CLARK,
        _shifted(0),
        has_rest=False,
        less_exact="offset 0",
    ),
    Role(
        "first",
        "1st",
        "f",
        "the first token (a sink in most decoders)",
        _MEAN + "w[i, 0], where i can see it",
        0.5,
        _EVEN,
        "Xiao et al. 2024",
        _first,
        crosses=True,
        has_rest=False,
    ),
    Role(
        "separator",
        "sep",
        "x",
        "special tokens other than the first, and punctuation",
        _MEAN + "Σ w[i, j] over such j",
        0.5,
        _EVEN,
        CLARK,
        _separators,
        crosses=True,
        pairs="mean of c[i, j] over i and such j",
    ),
    Role(
        "same word",
        "same",
        "w",
        "the same word elsewhere in the text",
        _MEAN + "Σ w[i, j] over j ≠ i with the same word, where there is one",
        0.5,
        _EVEN,
        "",
        _same,
        crosses=True,
        pairs="mean of c[i, j] over i and j ≠ i with the same word",
    ),
    Role(
        "previous occurrence",
        "dupl",
        "d",
        "the previous occurrence of the same word (a duplicate-token head)",
        _MEAN + "w[i, p], p the last place before i with the same word, where there is one",
        0.5,
        _EVEN,
        "Wang et al. 2022",
        _occurrence,
        less_exact="same word",
        probed=True,
    ),
    Role(
        "induction",
        "ind",
        "i",
        "the word after the previous occurrence of the same word",
        _MEAN + "w[i, p+1], p the last place before i with the same word, where there is one",
        0.5,
        _EVEN,
        OLSSON,
        _induction,
        probed=True,
    ),
)
"""Roles that are looked for in every text."""

OFFSET = Role(
    "offset",
    "off",
    "o",
    "the word a fixed number of words away",
    "share of rows whose strongest key is at the most frequent offset",
    0.9,
    "a row that picks one of its keys at random",
    "Voita et al. 2019",
)
"""Role of a positional head, whose strongest key is nearly always at the same offset."""

RELATION = Role(
    "relation",
    "rel",
    "r",
    "its grammatical head, or what depends on it (with --conllu)",
    "share of the relation's words whose head is found: of all other words, the strongest key of the word's row, or "
    "the strongest query of its column",
    0.0,
    f"the best fixed offset, by {ERRORS} standard errors",
    CLARK,
    fewest=FEWEST_CASES,
)

COREFERENCE = Role(
    "coreference",
    "ref",
    "c",
    "the noun that a pronoun stands for (with --probe)",
    "share of pronouns that give the noun meant more weight than the other noun, over sentences and twins of them in "
    "which the other is meant",
    0.5,
    "the better of always the first and always the second noun, by three standard errors",
    "Levesque, Davis and Morgenstern 2012",
    fewest=FEWEST_CASES,
)

RETRIEVAL = Role(
    "retrieval",
    "retr",
    "t",
    "the token of a fact that it copies, which stands far back in the text (with --needle)",
    "share of the tokens copied from a fact whose step has that very token as its strongest key, of all keys",
    0.1,
    "any other token of the text around the fact, on average",
    "Wu et al. 2024, section 2",
)
"""Role of a head that finds in a long text what the model copies; measured in texts that `--needle` makes."""

ALIGNMENT = Role(
    "alignment",
    "algn",
    "a",
    "the words that it translates, in cross-attention",
    "",
    0.0,
    "",
    "Garg et al. 2019",
    crosses=True,
)
"""Role of a head that aligns words. Models name it; it is not measured, since the true links of a text are unknown."""

EVERY_ROLE = (*ROLES, OFFSET, RELATION, COREFERENCE, RETRIEVAL, ALIGNMENT)

GUIDED: Mapping[GuidedRole, tuple[Role, str]] = {
    "reading": (ALIGNMENT, ""),
    "writing": (ALIGNMENT, ""),
    "coreference": (COREFERENCE, ""),
    "subject": (RELATION, "subject → verb"),
    "object": (RELATION, "object → verb"),
}
"""Purpose that a head was trained for -> its role, and the relation."""


def find_role(name: str, roles: Sequence[Role] = EVERY_ROLE) -> Role:
    """Find the role of this name.

    Raises:
        KeyError: no role has this name.
    """
    return {role.name: role for role in roles}[name]
