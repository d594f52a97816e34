"""The words of the grammar: everyday things, what they can be, who does something with them, and when.

Tables are text, a line an entry. Gender is `m` or `f`; where French has two forms they are written `grand/grande`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADJECTIVES", "BY_KIND", "NOUNS", "Adjective", "Gender", "Noun"]

Gender = str
"""`m` or `f`."""


@dataclass(frozen=True)
class Noun:
    """A thing or an animal.

    Attributes:
        english: one word.
        french: one word, without article.
        gender: of the French word.
        kinds: what it can be in a sentence (`box`: something can be put into it).
    """

    english: str
    french: str
    gender: Gender
    kinds: frozenset[str]


@dataclass(frozen=True)
class Adjective:
    """An adjective with its two French forms, which may be the same."""

    english: str
    masculine: str
    feminine: str

    def french(self, gender: Gender) -> str:
        return self.masculine if gender == "m" else self.feminine


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
piano piano m bulky goods load
desk bureau m bulky goods support under
bed lit m bulky goods under covered
sofa canapé m bulky goods under
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
dog chien m animal seen
horse cheval m animal seen
bird oiseau m animal seen
rabbit lapin m animal seen
wolf loup m animal seen
bear ours m animal seen
fox renard m animal seen
lion lion m animal seen
elephant éléphant m seen
monkey singe m animal seen
tiger tigre m animal seen
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
chair chaise f bulky goods support under
machine machine f bulky goods load
motorcycle moto f vehicle goods
car voiture f vehicle goods
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
cow vache f animal seen
mouse souris f animal
goat chèvre f animal seen
bee abeille f animal
spider araignée f animal
frog grenouille f animal seen
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
old vieux/vieille
young jeune/jeune
new nouveau/nouvelle
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
beautiful beau/belle
ugly laid/laide
useful utile/utile
strong fort/forte
deep profond/profonde
"""

NOUNS = tuple(
    Noun(english, french, gender, frozenset(kinds))
    for english, french, gender, *kinds in (line.split() for line in _NOUNS.strip().splitlines())
)
BY_KIND = {
    kind: tuple(noun for noun in NOUNS if kind in noun.kinds)
    for kind in sorted(frozenset().union(*(noun.kinds for noun in NOUNS)))
}
ADJECTIVES = {
    english: Adjective(english, *forms.split("/"))
    for english, forms in (line.split() for line in _ADJECTIVES.strip().splitlines())
}
