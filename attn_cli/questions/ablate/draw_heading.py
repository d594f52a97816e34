"""Drawing of what was cut and what is measured, above what the cuts made of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from attn_cli.data.plan import listed, name_head
from attn_cli.data.record import Record
from attn_cli.data.selection import Kind
from attn_cli.draw.colors import Scale, painted
from attn_cli.draw.labels import clipped, width
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, cells, drawing, line, number, text_lines
from attn_cli.draw.table import form_of, numeral
from attn_cli.errors import counted, shortened
from attn_cli.models.encoding import named_alone
from attn_cli.models.spelled import MASK
from attn_cli.questions.ablate.choices import Instead
from attn_cli.questions.ablate.cutting import Edges
from attn_cli.questions.ablate.donors import Donor
from attn_cli.questions.ablate.trials import LISTED, Ablation, CutTrial

__all__ = ["Heading", "arrow", "in_turn", "name_heads", "quotation", "replaced"]

LONGEST_WORD = 14
WIDEST = 24
"""Most cells of the names of several heads in a line."""

LONGEST_NAME = 60
"""Most letters of a text that outputs are taken from."""


@dataclass(frozen=True, eq=False)
class Heading:
    """Drawing of what was cut, of what is measured, and of the output with nothing cut."""

    found: Ablation
    screen: Screen

    def draw(self) -> RenderableType:
        """Drawing of what was cut, of what is measured, and of the output with nothing cut."""
        lines = text_lines(self._cut(), self.screen)
        said = [f"Output: {self._measured()}."]
        if self.found.view == "heads" and self._answers():
            said.append(self._answers())
        said[-1] += f" {self._probabilities()}"
        for one in said:
            lines += caption_lines(one, self.screen)
        if self._in_words:
            lines += [line(), *self._output_words()]
        return drawing(lines)

    @property
    def _image(self) -> bool:
        """True if an image was read, and not a text."""
        return self.found.record.source.grid is not None

    @property
    def _in_words(self) -> bool:
        """True if the words of the output are shown; before and after one cut, a table below shows them."""
        read = self.found.output
        return self.found.view != "cut" and not read.states and read.against is None

    def _probabilities(self) -> str:
        """Say that what stands below the words are probabilities, or which token is likeliest of all."""
        read = self.found.output
        if self._in_words:
            several = f" of each {self.found.unit}" if len(read.words) > 1 else ""
            return f"Probability{several}:"
        if self.found.view == "cut" or read.states:
            return ""
        top = self.found.before.top[0]
        label = shortened(named_alone(top.text), LONGEST_WORD)
        return f"Likeliest token: {label}, probability {numeral(top.probability, form_of([top.probability], '.2f'))}."

    def _cut(self) -> str:
        """Say what was cut, and what stands in its place."""
        found = self.found
        if found.view == "heads":
            places = [(one.kind, layer, head) for one in found.trials for layer, (head,) in one.heads.items()]
            if found.instead is not None:
                instead = replaced(found.instead, found.donor, self.screen, image=self._image)
                return f"{in_turn(found.record, places)}, {instead}"
            edges = ", ".join(map(self._edge, found.trials[0].edges))
            heads = _head_by_head(found.record, places)
            return f"{edges} cut in {heads[0].lower()}{heads[1:]}{self._rows(found.trials[0])}"
        trial = found.trials[0]
        heads = name_heads(found.record, trial.kind, trial.heads)
        if found.view == "cut" and not trial.edges:
            several = sum(map(len, trial.heads.values())) > 1
            instead = replaced(found.instead or "zero", found.donor, self.screen, several=several, image=self._image)
            return f"{heads} {instead}"
        if found.view == "keys":
            query, _ = trial.edges[0].labels
            return f"{query}{arrow(self.screen)}each key in turn, cut in {self._heads_in(found.trials[0])}"
        edges = ", ".join(map(self._edge, trial.edges))
        if found.view == "layers":
            return f"{edges} cut in each band of {trial.kind} layers in turn{self._rows(trial)}"
        return f"{edges}{_weight(trial)} cut in {self._heads_in(trial)}"

    def _answers(self) -> str:
        """Say how probable the answers of two texts are in both, where outputs are taken from another."""
        found, apart = self.found, self.found.output.apart
        if found.other is None:
            return ""
        if apart is None:
            return "Both texts have the same output."
        here, there = found.before.answers, found.other.figures.answers
        if here is None or there is None:
            return ""
        one, other = map(named_alone, apart.names)
        form = form_of([*here, *there], ".2f")
        first, second, third, fourth = (numeral(chance, form) for chance in (*here, *there))
        return f"Answers: {one} {first} and {other} {second}; in the other text, {one} {third} and {other} {fourth}."

    def _edge(self, edges: Edges) -> str:
        start, end = edges.labels
        if not start:
            return f"all that look at {shortened(end, WIDEST)}"
        if not end:
            return f"all that {shortened(start, WIDEST)} looks at"
        return f"{shortened(start, WIDEST)}{arrow(self.screen)}{shortened(end, WIDEST)}"

    def _heads_in(self, trial: CutTrial) -> str:
        said = name_heads(self.found.record, trial.kind, trial.heads)
        return f"{said[0].lower()}{said[1:]}{self._rows(trial)}"

    def _rows(self, trial: CutTrial) -> str:
        """Say whether edges from a target's words to the text are cut in input rows or in output rows."""
        plans = [edges.plan for edges in trial.edges if edges.queries and edges.plan.step is not None]
        return f", {plans[0].step} rows" if plans else ""

    def _measured(self) -> str:
        """Name the output."""
        read, before = self.found.output, self.found.before
        if read.states:
            return "last states, and how far they turn (1 - cosine)"
        if read.names is not None:
            one, other = (shortened(named_alone(name), WIDEST) for name in read.names)
            return f"logit of {one} less that of {other}, {before.whole:+.2f}"
        chance = f"log-probability {before.whole:.2f}"
        if read.kind == "target":
            which = "its own translation" if read.translation is not None else "the target"
            return f"{which}, {chance}"
        if read.kind == "mask":
            likeliest = ", the likeliest" if read.likeliest else ""
            return f"{self._quoted()} in place of {MASK}{likeliest}, {chance}"
        if len(read.place_labels) == 1 and read.wanted.places == ():
            return f"each next token of the text, {chance}"
        return f"{self._quoted()} after the text, {chance}"

    def _quoted(self) -> str:
        text = " ".join(word.label for word in self.found.output.words)
        return quotation(text, self.screen, WIDEST)

    def _output_words(self) -> list[Text]:
        """Draw the words of the output over their probabilities, side by side."""
        chances = np.exp(self.found.before.words.astype(np.float64)).tolist()
        pieces = [
            (clipped(word.label, LONGEST_WORD, unicode=self.screen.unicode), chance, word.special)
            for word, chance in zip(self.found.output.words, chances, strict=True)
        ]
        return self._side_by_side(pieces)

    def _side_by_side(self, pieces: Sequence[tuple[str, float, bool]]) -> list[Text]:
        scale = Scale.weights()
        lines: list[Text] = []
        words: list[Part] = []
        chances: list[Part] = []

        def end() -> None:
            if words:
                lines.extend([line(*words), line(*chances)])
            words.clear()
            chances.clear()

        likely = form_of((chance for _, chance, _ in pieces), ".2f")
        for label, chance, special in pieces:
            usual = number(chance, unicode=self.screen.unicode)
            said = usual if likely == ".2f" else numeral(chance, likely)  # a row of dots would not tell words apart
            size = max(width(label), len(said), 3)
            if cells(words) + size + 1 > self.screen.width:
                end()
            gap: list[Part] = [(" ", PLAIN)] if words else []
            (level,) = scale.levels(np.array([chance])).tolist()
            text = said.center(size)
            words += [*gap, (label.center(size) if width(label) < size else label, DIM if special else BOLD)]
            chances += [*gap, (text, painted(level, self.screen))]
        end()
        return lines


def _weight(trial: CutTrial) -> str:
    """Say what weight the edges of one cut have; nothing if it is not known."""
    if trial.weight is None or not math.isfinite(trial.weight):
        return ""
    count = len(trial.places)
    mean = f", the mean over {count:,} heads" if count > 1 else ""
    return f" (weight {trial.weight:.2f}{mean})"


def name_heads(record: Record, kind: Kind, chosen: Mapping[int, Sequence[int]]) -> str:
    """Name heads of one kind that are cut at once: `Encoder head 2.0`, `Encoder layer 2`.

    Args:
        record: the model.
        kind: the kind of attention.
        chosen: layer -> heads.
    """
    stack = record.model.stacks[kind]
    if all(len(heads) == stack.heads[layer] for layer, heads in chosen.items()):
        if len(chosen) == len(stack.heads):
            return f"All {kind} heads"
        return f"{kind.capitalize()} layer{'s' if len(chosen) > 1 else ''} {listed(tuple(chosen))}"
    every = [name_head(layer, head) for layer, heads in chosen.items() for head in heads]
    if len(every) > LISTED:
        return f"{len(every)} {kind} heads"
    return f"{kind.capitalize()} head{'s' if len(every) > 1 else ''} {', '.join(every)}"


def in_turn(record: Record, places: Iterable[tuple[Kind, int, int]]) -> str:
    """Name heads that are cut one after another: `Every head in turn`, `Encoder layers 1-2, head by head`.

    Args:
        record: the model, and the user's selection.
        places: kind, layer and head of each; if some are selected, all of one kind.
    """
    if record.selection.layer is None and record.selection.head is None:
        return "Every head in turn"
    return _head_by_head(record, places)


def _head_by_head(record: Record, places: Iterable[tuple[Kind, int, int]]) -> str:
    """Name heads of one kind that are cut one after another: `Encoder layers 1-2, head by head`."""
    chosen: dict[Kind, dict[int, list[int]]] = {}
    for kind, layer, head in places:
        chosen.setdefault(kind, {}).setdefault(layer, []).append(head)
    ((kind, heads),) = chosen.items()
    several = sum(map(len, heads.values())) > 1
    return f"{name_heads(record, kind, heads)}{', head by head' if several else ''}"


def replaced(
    instead: Instead, donor: Donor | None, screen: Screen, *, several: bool = False, image: bool = False
) -> str:
    """Say what stands in the place of a head's output, or of several heads' at once.

    Args:
        instead: what stands there.
        donor: the texts that it is taken from, if it is not this text.
        screen: the screen to draw on.
        several: whether several heads are cut at once.
        image: whether an image was read, and not a text.
    """
    if instead == "zero":
        return "zeroed"
    if instead == "even":
        return f"made even over the keys that {'they see' if several else 'it sees'}"
    its = "their" if several else "its"
    if instead == "resample":
        place = "the text beside it" if donor is None else quotation(donor.name, screen)
        return f"replaced by {its} output{'s' * several} in {place}"
    mean = f"replaced by {its} mean{'s' * several} over"
    if donor is None:
        return f"{mean} this {'image' if image else 'text'}'s positions"
    tokens = counted(donor.tokens, "token")
    if not donor.several:
        return f"{mean} the {tokens} of {quotation(donor.name, screen)}"
    return f"{mean} {tokens} in {counted(donor.texts, 'text')} of {donor.name}"


def quotation(text: str, screen: Screen, most: int = LONGEST_NAME) -> str:
    """Return a text in quotation marks, shortened in its middle if it is long."""
    return f"“{shortened(text, most)}”" if screen.unicode else f'"{shortened(text, most)}"'


def arrow(screen: Screen) -> str:
    """Return the sign between what was before and what is after."""
    return " → " if screen.unicode else " > "
