"""Simple sentences with links between the words that stand for each other: who did what to what, and where."""

from __future__ import annotations

import zlib

from attn_cli.grammar.clauses import Draw, noun_phrase
from attn_cli.grammar.lexicon import BY_KIND, COLORS, PEOPLE, Determiner, Noun, Templates
from attn_cli.grammar.phrase import EMPTY, Phrase, weave

__all__ = ["is_simple_held_out", "sentence"]

NO_STOP_SHARE = 0.15  # share of sentences without full stop, as users type them
HELD_OUT_PERCENT = 15  # percentage of the combinations of subject, verb and place

# `~` is the ending of a French participle that agrees with the subject.
STAYING: tuple[Templates, ...] = (  # verbs for what people and animals do somewhere
    ("sat/1", "était/1 assis~/1"),
    ("is/1 sitting/2", "est/1 assis~/2"),
    ("was/1 sitting/2", "était/1 assis~/2"),
    ("slept/1", "a/1 dormi/1"),
    ("is/1 sleeping/2", "dort/1+2"),
    ("was/1 sleeping/2", "dormait/1+2"),
    ("fell/1 asleep/2", "se/1+2 est/1 endormi~/2"),
    ("lay/1", "était/1 allongé~/1"),
    ("was/1 lying/2", "était/1 allongé~/2"),
    ("is/1 lying/2", "est/1 allongé~/2"),
    ("is/1 hiding/2", "se/1+2 cache/1+2"),
    ("was/1 hiding/2", "se/1+2 cachait/1+2"),
    ("played/1", "a/1 joué/1"),
    ("is/1 playing/2", "joue/1+2"),
    ("was/1 playing/2", "jouait/1+2"),
    ("ate/1", "a/1 mangé/1"),
    ("is/1 eating/2", "mange/1+2"),
    ("was/1 eating/2", "mangeait/1+2"),
    ("waited/1", "a/1 attendu/1"),
    ("is/1 waiting/2", "attend/1+2"),
    ("was/1 waiting/2", "attendait/1+2"),
    ("stayed/1", "est/1 resté~/1"),
    ("is/1 walking/2", "marche/1+2"),
    ("was/1 walking/2", "marchait/1+2"),
    ("was/1 running/2", "courait/1+2"),
)
DOING: tuple[Templates, ...] = (  # verbs for what people do with things
    ("put/1", "a/1 mis/1"),
    ("found/1", "a/1 trouvé/1"),
    ("saw/1", "a/1 vu/1"),
    ("left/1", "a/1 laissé/1"),
    ("lost/1", "a/1 perdu/1"),
    ("hid/1", "a/1 caché/1"),
    ("forgot/1", "a/1 oublié/1"),
    ("dropped/1", "a/1 laissé/1 tomber/1"),
    ("is/1 looking/2 for/3", "cherche/1+2+3"),
    ("was/1 looking/2 for/3", "cherchait/1+2+3"),
    ("is/1 holding/2", "tient/1+2"),
    ("was/1 holding/2", "tenait/1+2"),
)
BEING: tuple[Templates, ...] = (  # verbs for where things are
    ("is/1", "est/1"),
    ("was/1", "était/1"),
    ("fell/1", "est/1 tombé~/1"),
    ("stayed/1", "est/1 resté~/1"),
)
# Columns: place, French, gender, prepositions; a `unique` place always takes "the".
PLACES = """
mat tapis m on under near behind next
table table f on under near behind next
bed lit m on under near behind next
sofa canapé m on under near behind next
chair chaise f on under near behind next
bench banc m on under near behind next
desk bureau m on under near behind next
roof toit m on
wall mur m on near behind
floor sol m on unique
grass herbe f on unique
ground sol m on unique
bridge pont m on under near
tree arbre m under near behind front next
umbrella parapluie m under
window fenêtre f near front next under
door porte f near front behind next
curtain rideau m behind near
fire feu m near front
car voiture f in near behind front under next
truck camion m in near behind front under
train train m in
boat bateau m in near
box boîte f in near behind next
basket panier m in near
bathtub baignoire f in
kitchen cuisine f in
garden jardin m in
garage garage m in behind near
house maison f in near behind front
hotel hôtel m in near behind front
church église f in near behind front
school école f in near behind front
library bibliothèque f in near behind
restaurant restaurant m in near
hospital hôpital m in near behind front
theater théâtre m in near behind front
river rivière f near
lake lac m near
tower tour f near behind
hill colline f on behind
fence clôture f behind near
room pièce f in
park parc m in near
office bureau m in
forest forêt f in near
field champ m in near
street rue f in
beach plage f on near
island île f on
"""
PREPOSITIONS: dict[str, Templates] = {
    "on": ("on/1", "sur/1"),
    "under": ("under/1", "sous/1"),
    "near": ("near/1", "près/1 de/1"),
    "behind": ("behind/1", "derrière/1"),
    "next": ("next/1 to/2", "à/1 côté/1 de/2"),
    "front": ("in/1 front/1 of/1", "devant/1"),
    "in": ("in/1", "dans/1"),
}
SECOND = {  # prepositions of the next place: "on the mat near the window", not "in the field on the roof"
    "on": "near behind next front in",
    "under": "near behind next front in",
    "in": "near behind front",
    "near": "in",
    "behind": "in",
    "next": "in",
    "front": "in",
}
ROOMS = frozenset(["kitchen", "garden", "garage", "house", "room", "park", "office", "restaurant", "library", "hotel"])
IN_ROOMS = frozenset(
    ["mat", "table", "bed", "sofa", "chair", "bench", "desk", "window", "door", "curtain", "fire", "box"]
)
WHEN: tuple[Templates, ...] = (
    ("yesterday/1", "hier/1"),
    ("this/1 morning/2", "ce/1 matin/2"),
    ("last/1 night/2", "hier/1 soir/2"),
)
ADJECTIVES = ("old", "small", "big", "new", "beautiful")
DETERMINERS = (
    Determiner("the", "le", "la", 10),
    Determiner("a", "un", "une", 2),
    Determiner("this", "ce", "cette", 1),
    Determiner("my", "mon", "ma", 1, owns=True),
)
SUBJECTS = tuple(person for person in PEOPLE if person.have == "a" and person.name[0] not in {"he/1", "she/1"})


def is_simple_held_out(subject: str, verb: str, place: str) -> bool:
    """Return whether a simple sentence of this subject, verb and first place is kept for testing."""
    if (subject, verb, place) == ("cat", "sat", "mat"):  # the example sentence of the documentation
        return True
    return zlib.crc32(f"{subject}+{verb}+{place}".encode()) % 100 < HELD_OUT_PERCENT


def sentence(draw: Draw) -> tuple[tuple[str, str, str], Phrase]:
    """Draw a sentence; return its subject, verb and first place as English words, and the sentence itself."""
    draw.new_sentence()
    place, places = _places(draw)
    shape = draw.choices(("staying", "doing", "being"), (50, 30, 20))[0]
    slots = {"places": places, "thing": EMPTY, "when": EMPTY}
    if shape == "being" or (shape == "staying" and draw.happens(0.75)):
        noun = draw.choice(BY_KIND["thing" if shape == "being" else "animal"])
        name, slots["subject"], ending = noun.english, _noun(noun, draw), noun.agree("", "e")
    else:
        person = draw.choice(SUBJECTS)
        slots["subject"] = weave(*person.name)
        name, ending = person.name[0], "e" if person.gender == "f" else ""
    english, french = draw.choice({"staying": STAYING, "doing": DOING, "being": BEING}[shape])
    slots["verb"] = weave(english, french.replace("~", ending))
    if shape == "doing":
        slots["thing"] = _noun(draw.choice(BY_KIND["thing"]), draw)
    if not english.startswith("is/") and draw.happens(0.2):
        slots["when"] = draw.fresh(WHEN)
    template = "{subject} {verb} {thing} {places} {when}" + ("" if draw.happens(NO_STOP_SHARE) else " .")
    return (_plain(name), _plain(english), place), weave(template, template, **slots)


def _plain(template: str) -> str:
    return " ".join(piece.partition("/")[0] for piece in template.split())


def _noun(noun: Noun, draw: Draw, *, adjectives: float = 0.25) -> Phrase:
    choices = [row for row in DETERMINERS if noun.can_be_owned or not row.owns]
    chosen = DETERMINERS[0] if "unique" in noun.kinds else draw.choices(choices, [row.weight for row in choices])[0]
    adjective = ""
    if "unique" not in noun.kinds and draw.happens(adjectives):
        colors = COLORS if noun.can_be_owned and "animal" not in noun.kinds else ("white", "black")
        adjective = draw.choice([*ADJECTIVES, *colors])
        if adjective == "new" and not noun.can_be_new:
            adjective = "old"
    return noun_phrase(noun, (f"{chosen.english}/1", f"{noun.agree(chosen.masculine, chosen.feminine)}/1"), adjective)


def _places(draw: Draw) -> tuple[str, Phrase]:
    """Draw one place or two ("on the mat near the window"); return the first one's English noun and the phrase."""
    noun, preposition = _place(draw)
    first = _at(noun, preposition, draw)
    if draw.happens(0.6):
        other, further = _place(draw)
        into = further != "in" or (other.english in ROOMS and noun.english in IN_ROOMS)
        if other.french != noun.french and further in SECOND[preposition].split() and into:
            second = _at(other, further, draw)
            return noun.english, weave("{first} {second}", "{first} {second}", first=first, second=second)
    return noun.english, first


def _place(draw: Draw) -> tuple[Noun, str]:
    english, french, gender, *prepositions = draw.choice(PLACES.strip().splitlines()).split()
    unique = frozenset(["unique"]) & set(prepositions)
    noun = Noun(english, french, "m" if gender == "m" else "f", frozenset(unique))
    return noun, draw.choice([word for word in prepositions if word not in unique])


def _at(noun: Noun, preposition: str, draw: Draw) -> Phrase:
    before = weave(*PREPOSITIONS[preposition])
    return weave("{before} {noun}", "{before} {noun}", before=before, noun=_noun(noun, draw, adjectives=0.1))
