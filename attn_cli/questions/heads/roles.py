"""Roles that a head can have: their names, their scores, and the baselines that they must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = [
    "COREFERENCE",
    "ERRORS",
    "FEWEST",
    "FEWEST_CASES",
    "NATS",
    "OFFSET",
    "RELATION",
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
    crosses: bool = False
    """True if cross-attention can have the role too."""
    pairs: str = ""
    """Formula over attention scores instead of weights, where a row may have several keys of the role; else empty."""

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

ROLES: tuple[Role, ...] = (
    Role("previous", "prev", "p", "the word before it", _MEAN + "w[i, i-1]", 0.5, _EVEN, CLARK),
    Role("next", "next", "n", "the word after it", _MEAN + "w[i, i+1]", 0.5, _EVEN, CLARK),
    Role("self", "self", "s", "itself", _MEAN + "w[i, i]", 0.5, _EVEN, CLARK),
    Role(
        "first",
        "1st",
        "f",
        "the first token (a sink in most decoders)",
        _MEAN + "w[i, 0], where i can see it",
        0.5,
        _EVEN,
        "Xiao et al. 2024",
        crosses=True,
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
        crosses=True,
        pairs="mean of c[i, j] over i and j ≠ i with the same word",
    ),
    Role(
        "previous occurrence",
        "dupl",
        "d",
        "where the same word stood last (a duplicate-token head)",
        _MEAN + "w[i, p], p the last place before i with the same word, where there is one",
        0.5,
        _EVEN,
        "Wang et al. 2022",
    ),
    Role(
        "induction",
        "ind",
        "i",
        "the word after the one where the same word stood last",
        _MEAN + "w[i, p+1], p the last place before i with the same word, where there is one",
        0.5,
        _EVEN,
        OLSSON,
    ),
)

OFFSET = Role(
    "offset",
    "off",
    "o",
    "the word that stands a fixed number of words away",
    "share of rows whose strongest key is at the most frequent offset",
    0.9,
    "a row that picks one of its keys by chance",
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
)


def find_role(name: str, roles: Sequence[Role] = (*ROLES, OFFSET, RELATION, COREFERENCE)) -> Role:
    """Find the role of this name.

    Raises:
        KeyError: no role has this name.
    """
    return {role.name: role for role in roles}[name]
