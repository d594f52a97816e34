"""Main clauses about two things, of which only the reason tells which one is meant.

Adjectives are those of `lexicon.ADJECTIVES`; words in capitals are keys of `CLAUSES`. Comparisons (`+beautiful` for
`more beautiful`) and the keys of `COMPARED` take no degree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from attn_cli.grammar.lexicon import Templates, Tense

__all__ = [
    "CLAUSES",
    "COMPARED",
    "CONSTRUCTIONS",
    "DEGREES",
    "FRAMES",
    "HELD_OUT_CONSTRUCTIONS",
    "Construction",
    "Frame",
    "Verb",
]


@dataclass(frozen=True)
class Verb:
    """A verb for what a thing does not do.

    Attributes:
        english: the English verb.
        infinitive: the French infinitive.
        imperfect: third person of the French imperfect; unused where `perfect` is set.
        present: third person of the French present.
        future: third person of the French future.
        perfect: the French past participle, where "did not" is a single event (`n'a pas attrapé`).
        only_able: True if only "could not" makes sense, not "did not".
    """

    english: str
    infinitive: str
    imperfect: str
    present: str
    future: str
    perfect: str = ""
    only_able: bool = False


@dataclass(frozen=True)
class Construction:
    """A main clause about two things, `{a}` and `{b}`.

    Attributes:
        name: name of the construction.
        a: kinds of noun for the first thing.
        b: kinds of noun for the second thing.
        clause: templates; `{verb}` is `verb` negated, `{cannot}` a person who cannot, `{who}` a person and `{have}`
            their French auxiliary, and `~` the ending of a French participle that agrees with `a`.
        because_of_a: reasons to draw from if the first thing is meant.
        because_of_b: reasons to draw from if the second thing is meant.
        variants: templates for other wordings of the clause.
        despite: reasons for "even though", about `a` and about `b`.
        verb: verb for `{verb}`.
        degrees: degrees to draw from, for adjectives.
        tenses: tenses that the clause can have.
        frames: names of the frames that the clause can have; by default, all of `FRAMES` by their weights.
        event: True if French tells it in the perfect.
        weight: relative frequency of the construction.
    """

    name: str
    a: str
    b: str
    clause: Templates
    because_of_a: str
    because_of_b: str
    variants: tuple[Templates, ...] = ()
    despite: tuple[str, str] | None = None
    verb: Verb | None = None
    degrees: tuple[str, ...] = ("too", "too", "too", "too", "far too", "much too", "a bit too")
    tenses: tuple[Tense, ...] = ("past",)
    frames: tuple[str, ...] = ()
    event: bool = False
    weight: int = 2


class Frame(NamedTuple):
    """A pattern that joins the main clause and the reason.

    Attributes:
        templates: templates of `{main}`, `{it}` (the reason) and `{between}` (an optional phrase before the reason).
        weight: relative frequency of the frame.
        first: True if the pronoun comes before its noun.
    """

    templates: Templates
    weight: int
    first: bool = False


FRAMES = {
    "because": Frame(("{main} because/1 {between} {it} .", "{main} parce/1 que/1 {between} {it} ."), 9),
    "since": Frame(("{main} since/1 {between} {it} .", "{main} puisque/1 {between} {it} ."), 2),
    "for": Frame(("{main} , for/1 {between} {it} .", "{main} , car/1 {between} {it} ."), 2),
    "two sentences": Frame(("{main} . {it} .", "{main} . {it} ."), 3),
    "because before": Frame(("because/1 {it} , {main} .", "parce/1 que/1 {it} , {main} ."), 2, first=True),
    "since before": Frame(("since/1 {it} , {main} .", "comme/1 {it} , {main} ."), 1, first=True),
    "as before": Frame(("as/1 {it} , {main} .", "comme/1 {it} , {main} ."), 1, first=True),
    "so": Frame(("{it} , so/1 {main} .", "{it} , donc/1 {main} ."), 1, first=True),
    "even though": Frame(("{main} even/1 though/1 {it} .", "{main} même/1 si/1 {it} ."), 2),
    "but": Frame(("{main} , but/1 {between} {it} .", "{main} , mais/1 {between} {it} ."), 0),
}

_ALL: tuple[Tense, ...] = ("past", "past", "present", "future")
_SO = ("so", "so", "very")
_SIZES = ("small short thin", "big wide large deep")

CONSTRUCTIONS = (
    Construction(
        "fit in",
        "thing",
        "box",
        ("{a} {verb} in/1 {b}", "{a} {verb} dans/1 {b}"),
        "big big large wide long thick SPACE",
        "small small narrow short full ROOM",
        variants=(("{a} {verb} into/1 {b}", "{a} {verb} dans/1 {b}"),),
        despite=_SIZES,
        verb=Verb("fit", "rentrer", "rentrait", "rentre", "rentrera"),
        tenses=_ALL,
        weight=6,
    ),
    Construction(
        "supposed to fit",
        "thing",
        "box",
        ("{a} was/1 supposed/1 to/1 fit/2 in/3 {b}", "{a} devait/1 rentrer/2 dans/3 {b}"),
        "big big large wide long thick SPACE",
        "small small narrow short full ROOM",
        frames=("but",),
    ),
    Construction(
        "could fit",
        "thing",
        "box",
        ("{a} could/1 fit/2 in/3 {b}", "{a} pouvait/1 rentrer/2 dans/3 {b}"),
        "small short thin narrow",
        "big wide large deep",
        degrees=("so", "so", "very", "enough", "enough"),
        variants=(("{a} could/1 fit/2 into/3 {b}", "{a} pouvait/1 rentrer/2 dans/3 {b}"),),
    ),
    Construction(
        "put in",
        "thing",
        "box",
        ("{cannot} put/1 {a} in/2 {b}", "{cannot} mettre/1 {a} dans/2 {b}"),
        "big big large wide long heavy SPACE",
        "small small narrow full ROOM",
        variants=(("{cannot} put/1 {a} into/2 {b}", "{cannot} mettre/1 {a} dans/2 {b}"),),
        tenses=_ALL,
        weight=3,
    ),
    Construction(
        "no room",
        "thing",
        "box",
        (
            "there/1 was/1 no/2 room/3 for/4 {a} in/5 {b}",
            "il/1 ne/2 y/1 avait/1 pas/2 de/2 place/3 pour/4 {a} dans/5 {b}",
        ),
        "big big large wide long thick",
        "small small narrow short full",
    ),
    Construction(
        "go through",
        "bulky",
        "opening",
        ("{a} {verb} through/1 {b}", "{a} {verb} par/1 {b}"),
        "big large wide long high SPACE",
        "small narrow narrow low",
        despite=("small narrow thin", "big wide high"),
        verb=Verb("go", "passer", "passait", "passe", "passera"),
        tenses=_ALL,
    ),
    Construction(
        "go under",
        "vehicle bulky",
        "under",
        ("{a} {verb} under/1 {b}", "{a} {verb} sous/1 {b}"),
        "big high high tall large",
        "low low small narrow",
        despite=("low small", "high big"),
        verb=Verb("pass", "passer", "passait", "passe", "passera"),
        tenses=_ALL,
    ),
    Construction(
        "support",
        "support",
        "load",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "fragile weak old thin",
        "heavy heavy big large",
        despite=("solid strong thick", "light small"),
        verb=Verb("support", "supporter", "supportait", "supporte", "supportera", only_able=True),
        tenses=_ALL,
    ),
    Construction(
        "break",
        "breaker",
        "breakable",
        ("{a} broke/1 {b}", "{a} a/1 cassé/1 {b}"),
        "hard heavy solid big FAST",
        "fragile fragile thin old",
        despite=("small light soft", "solid thick new"),
        degrees=_SO,
        event=True,
    ),
    Construction(
        "see behind",
        "seen",
        "screen",
        ("{cannot} see/1 {a} behind/2 {b}", "{cannot} voir/1 {a} derrière/2 {b}"),
        "small small low",
        "big high tall wide large thick",
        despite=("big tall", "low small narrow"),
        tenses=_ALL,
    ),
    Construction(
        "cover",
        "cover",
        "covered",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "short small narrow",
        "long big wide large",
        despite=("long wide big", "small narrow short"),
        verb=Verb("cover", "couvrir", "couvrait", "couvre", "couvrira"),
        tenses=_ALL,
    ),
    Construction(
        "catch",
        "animal",
        "animal animal prey",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "slow old tired fat SLOWLY",
        "fast fast QUICKLY",
        despite=("fast young", "slow old tired fat"),
        verb=Verb("catch", "attraper", "", "attrape", "attrapera", perfect="attrapé"),
        event=True,
        tenses=_ALL,
    ),
    Construction(
        "overtake",
        "vehicle",
        "vehicle",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "slow old heavy weak SLOWLY",
        "fast fast QUICKLY",
        despite=("fast new", "slow old"),
        verb=Verb("overtake", "dépasser", "", "dépasse", "dépassera", perfect="dépassé"),
        event=True,
        tenses=_ALL,
    ),
    Construction(
        "reach",
        "reacher",
        "reached",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "short small",
        "high tall",
        despite=("long", "low"),
        verb=Verb("reach", "atteindre", "atteignait", "atteint", "atteindra"),
        tenses=_ALL,
        weight=1,
    ),
    Construction(
        "pull",
        "strong vehicle",
        "pulled load",
        ("{a} {verb} {b}", "{a} {verb} {b}"),
        "weak old small",
        "heavy heavy big large",
        despite=("strong", "light small"),
        verb=Verb("pull", "tirer", "tirait", "tire", "tirera", only_able=True),
        tenses=_ALL,
    ),
    Construction(
        "buy instead",
        "goods",
        "goods",
        ("{who} bought/1 {a} instead/2 of/3 {b}", "{who} {have} acheté/1 {a} au/2 lieu/2 de/3 {b}"),
        "+beautiful +useful +solid +modern -expensive lighter cheaper",
        "expensive old heavy dirty ugly fragile",
        variants=(("{who} chose/1 {a} over/2 {b}", "{who} {have} choisi/1 {a} plutôt/2 que/2 {b}"),),
        event=True,
    ),
    Construction(
        "replace",
        "goods",
        "goods",
        ("{who} replaced/1 {a} with/2 {b}", "{who} {have} remplacé/1 {a} par/2 {b}"),
        "old dirty ugly fragile heavy",
        "+beautiful +useful +solid +modern -expensive lighter cheaper",
        event=True,
    ),
    Construction(
        "hidden by",
        "seen",
        "screen",
        ("{a} was/1 hidden/2 by/3 {b}", "{a} était/1 caché~/2 par/3 {b}"),
        "small low",
        "big high tall wide large thick",
        degrees=_SO,
    ),
    Construction(
        "stuck in",
        "bulky",
        "opening",
        ("{a} got/1 stuck/2 in/3 {b}", "{a} est/1 resté~/1 coincé~/2 dans/3 {b}"),
        "big large wide long",
        "small narrow low",
        event=True,
    ),
)
HELD_OUT_CONSTRUCTIONS = frozenset({"hidden by", "stuck in"})

# Reasons that are not adjectives, in the past and in the present.
CLAUSES: dict[str, tuple[Templates, Templates]] = {
    "SPACE": (
        ("took/1 up/1 too/2 much/2 space/3", "prenait/1 trop/2 de/2 place/3"),
        ("takes/1 up/1 too/2 much/2 space/3", "prend/1 trop/2 de/2 place/3"),
    ),
    "ROOM": (
        ("didn't/1+2 have/2 enough/3 room/4", "ne/1 avait/2 pas/1 assez/3 de/3 place/4"),
        ("doesn't/1+2 have/2 enough/3 room/4", "ne/1 a/2 pas/1 assez/3 de/3 place/4"),
    ),
    "FAST": (
        ("was/1 moving/1 very/2 fast/3", "allait/1 très/2 vite/3"),
        ("is/1 moving/1 very/2 fast/3", "va/1 très/2 vite/3"),
    ),
    "SLOWLY": (
        ("was/1 moving/1 too/2 slowly/3", "allait/1 trop/2 lentement/3"),
        ("is/1 moving/1 too/2 slowly/3", "va/1 trop/2 lentement/3"),
    ),
    "QUICKLY": (
        ("was/1 moving/1 too/2 fast/3", "allait/1 trop/2 vite/3"),
        ("is/1 moving/1 too/2 fast/3", "va/1 trop/2 vite/3"),
    ),
}
COMPARED = {"lighter": ("plus", "light"), "cheaper": ("moins", "expensive")}
# The adjective's place is `{adjective}`.
DEGREES: dict[str, Templates] = {
    "too": ("too/1 {adjective}", "trop/1 {adjective}"),
    "far too": ("far/1 too/2 {adjective}", "beaucoup/1 trop/2 {adjective}"),
    "much too": ("much/1 too/2 {adjective}", "bien/1 trop/2 {adjective}"),
    "a bit too": ("a/1 bit/1 too/2 {adjective}", "un/1 peu/1 trop/2 {adjective}"),
    "so": ("so/1 {adjective}", "si/1 {adjective}"),
    "very": ("very/1 {adjective}", "très/1 {adjective}"),
    "enough": ("{adjective} enough/1", "assez/1 {adjective}"),
    "more": ("more/1 {adjective}", "plus/1 {adjective}"),
    "less": ("less/1 {adjective}", "moins/1 {adjective}"),
}
