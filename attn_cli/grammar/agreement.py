"""Reading a French translation: its statements about the pronoun, and their agreement in gender."""

from __future__ import annotations

import re

from attn_cli.grammar.constructions import CLAUSES
from attn_cli.grammar.lexicon import ADJECTIVES, Gender, adjectives_for, rows
from attn_cli.grammar.phrase import spell, weave

__all__ = ["agrees", "said_of_pronoun"]

_PAIRS = [(adjective.masculine, adjective.feminine) for adjective in ADJECTIVES.values()]
_PAIRS += [(row["masculine"], row["feminine"]) for row in rows("further_adjectives.tsv")]
_FORMS: dict[Gender, frozenset[str]] = {
    "m": frozenset(masculine for masculine, _ in _PAIRS),
    "f": frozenset(feminine for _, feminine in _PAIRS),
}
_KNOWN = _FORMS["m"] | _FORMS["f"]
_FEMININE_ENDINGS = (
    "ée",
    "ie",
    "ue",
    "euse",
    "elle",
    "ette",
    "ive",
    "ère",
    "enne",
    "onne",
    "ante",
    "ente",
    "ande",
    "ète",
)

_DEGREE = r"un peu|bien|beaucoup|trop|si|tellement|aussi|assez|très|vraiment|plus|moins|extrêmement|déjà|encore|fort"
_BE = r"est|était|fut|sera|serait|soit|fût|semblait|semble|paraissait|paraît|a été|avait été"
_DO = (
    r"prenait|prend|prenne|prit|occupait|occupe|tenait|tient|avait|a|allait|va|bougeait|bouge|roulait|roule|courait|court"
    r"|se déplaçait|se déplace|avançait|avance|manquait|manque|disposait|dispose"
)
_HAD = "|".join(ADJECTIVES[name].masculine for name in adjectives_for("had"))
_CLAUSES = "|".join(
    re.escape(spell(weave("", french)).french.lower()) for pair in CLAUSES.values() for _, french in pair
)
_SUBJECT = r"(?<!\w)(?P<pronoun>il|elle)\s+(?:ne\s+|n')?"
_BE_SO = re.compile(rf"{_SUBJECT}(?:{_BE})(?:\s+pas)?(?:\s+(?:{_DEGREE}))+\s+(?P<adjective>[\w-]+)", re.IGNORECASE)
_DO_SO = re.compile(rf"{_SUBJECT}(?:{_DO})(?:\s+pas)?\s+(?:{_DEGREE}|de)\b", re.IGNORECASE)
_HAVE_SO = re.compile(
    rf"{_SUBJECT}(?:avait|a|aura|aurait|ait)(?:\s+pas)?(?:\s+(?:{_DEGREE}))*\s+(?:{_HAD})\b", re.IGNORECASE
)
_CLAUSE = re.compile(rf"(?<!\w)(?P<pronoun>il|elle)\s+(?:{_CLAUSES})(?!\w)", re.IGNORECASE)
_BE_PLAIN = re.compile(rf"{_SUBJECT}(?:{_BE})(?:\s+pas)?\s+(?P<adjective>[\w-]+)", re.IGNORECASE)


def said_of_pronoun(translation: str) -> list[tuple[str, str]]:
    """Return what the translation says of `il` or `elle`: the pronoun, and the adjective ("" where a verb says it).

    Examples are "il était trop grand" and "elle n'avait pas assez de place"; "il était grand" counts only where there
    is neither.
    """
    found = {
        match.start("pronoun"): (match["pronoun"].lower(), match.groupdict().get("adjective", "").lower())
        for pattern in (_CLAUSE, _HAVE_SO, _DO_SO, _BE_SO)
        for match in pattern.finditer(translation)
    }
    return list(found.values()) or [
        (match["pronoun"].lower(), match["adjective"].lower())
        for match in _BE_PLAIN.finditer(translation)
        if match["adjective"].lower() in _KNOWN
    ]


def agrees(adjective: str, gender: Gender) -> bool:
    """Return whether the adjective can have that gender; an unknown one is judged by its ending."""
    if adjective in _KNOWN:
        return adjective in _FORMS[gender]
    return adjective.endswith("e") if gender == "f" else not adjective.endswith(_FEMININE_ENDINGS)
