"""The words of the grammar: nouns for everyday things and their kinds, adjectives, people, determiners.

Nouns and adjectives are tables of text, one entry per line; gender is `m` or `f`, and French forms are written
`grand/grande`. Pairs of templates are as `phrase.weave` takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from attn_cli.grammar.phrase import opens_with_vowel

__all__ = [
    "ADJECTIVES",
    "BEFORE_NOUN",
    "BY_KIND",
    "COLORS",
    "DETERMINERS",
    "NOUNS",
    "PEOPLE",
    "Adjective",
    "Determiner",
    "Gender",
    "Noun",
    "Person",
    "Templates",
    "Tense",
]

Gender = Literal["m", "f"]
Tense = Literal["past", "present", "future"]
Templates = tuple[str, str]
"""An English template and its French counterpart, as `phrase.weave` takes them."""


@dataclass(frozen=True)
class Noun:
    """A thing or an animal.

    Attributes:
        english: the English noun, one word.
        french: the French noun, one word, without article.
        gender: gender of the French noun.
        kinds: roles that it can have in a sentence (`box`: something can be put into it).
    """

    english: str
    french: str
    gender: Gender
    kinds: frozenset[str] = frozenset()

    @property
    def can_be_owned(self) -> bool:
        """True if somebody can buy it, or have it in a colour of their choice."""
        return bool(self.kinds & _OWNED) and "wild" not in self.kinds

    @property
    def can_be_new(self) -> bool:
        """True if the thing was made, and not grown, so that it can be called new."""
        return not self.kinds & {"animal", "wild", "unique"} and self.english not in _GROWN

    def agree(self, masculine: str, feminine: str) -> str:
        """Return the form that agrees with this noun in gender."""
        return masculine if self.gender == "m" else feminine


@dataclass(frozen=True)
class Adjective:
    """An adjective and its French forms.

    Attributes:
        english: the English adjective, one word.
        masculine: the French masculine form.
        feminine: the French feminine form, which may be the same.
        before_vowel: the masculine form right before a vowel, where it differs (`un vieil homme`).
    """

    english: str
    masculine: str
    feminine: str
    before_vowel: str = ""

    def french(self, gender: Gender) -> str:
        """Return the French form of that gender."""
        return self.masculine if gender == "m" else self.feminine

    def before(self, noun: Noun) -> str:
        """Return the French form that stands right before the noun."""
        if noun.gender == "m" and self.before_vowel and opens_with_vowel(noun.french):
            return self.before_vowel
        return self.french(noun.gender)


class Person(NamedTuple):
    """A person, and the forms of French verbs that agree with them."""

    name: Templates
    imperfect: str = "pouvait"
    present: str = "peut"
    future: str = "pourra"
    have: str = "a"
    gender: Gender = "m"


class Determiner(NamedTuple):
    """An article or another determiner, and its relative frequency."""

    english: str
    masculine: str
    feminine: str
    weight: int
    owns: bool = False


_GROWN = frozenset(
    {"apple", "beach", "branch", "egg", "field", "fire", "forest", "hill", "hole", "island", "lake", "mountain"}
    | {"orange", "river", "stone", "tree"}
)
_OWNED = frozenset({"goods", "thing", "cover", "animal", "vehicle", "load", "pulled"})

_NOUNS = """
trophy trophée m thing goods
book livre m thing goods
hat chapeau m thing goods
umbrella parapluie m thing goods
dictionary dictionnaire m thing goods
newspaper journal m thing
magazine magazine m thing
cake gâteau m thing
cheese fromage m thing
egg œuf m thing
coat manteau m thing goods
sweater pull m thing goods
violin violon m thing goods
painting tableau m thing goods
toy jouet m thing goods
gift cadeau m thing
vase vase m thing goods breakable
mirror miroir m goods breakable bulky
glass verre m thing breakable
computer ordinateur m goods load
pencil crayon m thing goods
pen stylo m thing goods
phone téléphone m thing goods
hammer marteau m thing breaker goods
knife couteau m thing goods
flag drapeau m thing
pillow oreiller m thing goods
wallet portefeuille m thing
basket panier m box thing goods
bag sac m box thing goods
drawer tiroir m box
closet placard m box
garage garage m garage
bucket seau m box
trunk coffre m box
refrigerator réfrigérateur m bulky goods load
piano piano m bulky goods load covered
desk bureau m bulky goods support under
bed lit m bulky goods under covered
sofa canapé m bulky goods under covered
bench banc m support under
mat tapis m cover goods
carpet tapis m cover
curtain rideau m cover
roof toit m support reached
bridge pont m support under
hole trou m opening
elevator ascenseur m opening
gate portail m opening
truck camion m vehicle goods
bus bus m vehicle screen
boat bateau m pulled goods
bicycle vélo m bulky goods
train train m vehicle
tree arbre m screen reached
wall mur m screen reached
hotel hôtel m screen seen
castle château m screen seen
museum musée m screen seen
building bâtiment m screen seen
restaurant restaurant m seen
theater théâtre m seen screen
cat chat m animal seen
dog chien m animal seen strong
horse cheval m animal seen strong
bird oiseau m animal seen
rabbit lapin m animal seen
wolf loup m animal seen wild
bear ours m animal seen wild
fox renard m animal seen wild
lion lion m animal seen wild
elephant éléphant m seen strong wild
monkey singe m animal seen wild
tiger tigre m animal seen wild
plane avion m seen
lake lac m seen
suitcase valise f box thing goods load
box boîte f box thing goods load
pocket poche f box
envelope enveloppe f box
bottle bouteille f thing breakable
lamp lampe f thing goods breakable
cup tasse f thing goods breakable
letter lettre f thing
map carte f thing
dress robe f thing goods
shirt chemise f thing goods
skirt jupe f thing goods
jacket veste f thing goods
guitar guitare f thing goods
watch montre f thing goods
clock horloge f thing goods
camera caméra f thing goods
apple pomme f thing
orange orange f thing
doll poupée f thing goods
plate assiette f thing goods breakable
spoon cuillère f thing
fork fourchette f thing
radio radio f thing goods load
television télévision f bulky goods load
candle bougie f thing
tie cravate f thing goods
sword épée f thing goods
key clé f thing
ring bague f thing goods
photo photo f thing
rope corde f thing reacher
statue statue f bulky load seen goods
stone pierre f breaker load thing
ball balle f thing breaker
ladder échelle f bulky goods reacher
table table f bulky goods support under covered
chair chaise f bulky goods support under covered
machine machine f bulky goods load
motorcycle moto f vehicle goods
car voiture f vehicle goods pulled covered
door porte f opening
window fenêtre f opening breakable covered reached
entrance entrée f opening
shelf étagère f support reached
branch branche f support reached
bathtub baignoire f bulky
blanket couverture f cover goods thing
house maison f screen seen
church église f screen seen
tower tour f screen seen
school école f screen seen
factory usine f screen seen
library bibliothèque f screen seen
hill colline f screen
mountain montagne f screen
fence clôture f screen
island île f seen
cow vache f animal seen strong
mouse souris f animal wild
goat chèvre f animal seen
bee abeille f prey wild
spider araignée f prey wild
frog grenouille f animal seen wild
"""

_ADJECTIVES = """
big grand/grande
small petit/petite
large grand/grande
wide large/large
narrow étroit/étroite
thick épais/épaisse
thin mince/mince
long long/longue
short court/courte
heavy lourd/lourde
light léger/légère
high haut/haute
tall haut/haute
low bas/basse
old vieux/vieille/vieil
young jeune/jeune
new nouveau/nouvelle/nouvel
modern moderne/moderne
expensive cher/chère
hard dur/dure
soft mou/molle
solid solide/solide
fragile fragile/fragile
weak faible/faible
dirty sale/sale
clean propre/propre
full plein/pleine
slow lent/lente
fast rapide/rapide
fat gros/grosse
tired fatigué/fatiguée
beautiful beau/belle/bel
ugly laid/laide
useful utile/utile
strong fort/forte
deep profond/profonde
red rouge/rouge
blue bleu/bleue
green vert/verte
white blanc/blanche
black noir/noire
yellow jaune/jaune
brown marron/marron
gray gris/grise
"""

NOUNS = tuple(
    Noun(english, french, cast("Gender", gender), frozenset(kinds))
    for english, french, gender, *kinds in (line.split() for line in _NOUNS.strip().splitlines())
)
BY_KIND = {
    kind: tuple(noun for noun in NOUNS if kind in noun.kinds)
    for kind in sorted(frozenset[str]().union(*(noun.kinds for noun in NOUNS)))
}
ADJECTIVES = {
    english: Adjective(english, *forms.split("/"))
    for english, forms in (line.split() for line in _ADJECTIVES.strip().splitlines())
}

BEFORE_NOUN = ("old", "new", "beautiful")
COLORS = ("red", "blue", "green", "white", "black", "yellow", "brown", "gray")

PEOPLE = (
    Person(("I/1", "je/1"), "pouvais", "peux", "pourrai", "ai"),
    Person(("we/1", "nous/1"), "pouvions", "pouvons", "pourrons", "avons"),
    Person(("the/1 children/2", "les/1 enfants/2"), "pouvaient", "peuvent", "pourront", "ont"),
    Person(("Tom/1", "Tom/1")),
    Person(("he/1", "il/1")),
    Person(("she/1", "elle/1"), gender="f"),
    Person(("my/1 sister/2", "ma/1 sœur/2"), gender="f"),
    Person(("my/1 brother/2", "mon/1 frère/2")),
    Person(("my/1 uncle/2", "mon/1 oncle/2")),
    Person(("my/1 friend/2", "mon/1 ami/2")),
    Person(("his/1 mother/2", "sa/1 mère/2"), gender="f"),
    Person(("the/1 man/2", "le/1 homme/2")),
    Person(("the/1 woman/2", "la/1 femme/2"), gender="f"),
    Person(("the/1 boy/2", "le/1 garçon/2")),
    Person(("the/1 girl/2", "la/1 fille/2"), gender="f"),
    Person(("the/1 teacher/2", "le/1 professeur/2")),
    Person(("the/1 doctor/2", "le/1 médecin/2")),
    Person(("our/1 neighbor/2", "notre/1 voisin/2")),
)
DETERMINERS = (
    Determiner("the", "le", "la", 14),
    Determiner("this", "ce", "cette", 1),
    Determiner("my", "mon", "ma", 2, owns=True),
    Determiner("his", "son", "sa", 1, owns=True),
    Determiner("her", "son", "sa", 1, owns=True),
    Determiner("our", "notre", "notre", 1, owns=True),
)
