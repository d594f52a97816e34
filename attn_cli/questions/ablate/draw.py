"""Drawing of what becomes of the output: the output, an atlas of effects and a table, or before and after."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import listed, name_head
from attn_cli.data.shapes import Float
from attn_cli.draw.captions import model_line, remarks
from attn_cli.draw.colors import CHANGES, Scale, painted
from attn_cli.draw.grid import Written, atlas
from attn_cli.draw.labels import clipped, width
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import (
    BOLD,
    DIM,
    PLAIN,
    Part,
    caption_lines,
    cells,
    change,
    drawing,
    emphasized,
    flow,
    line,
    number,
    stacked,
    text_lines,
)
from attn_cli.draw.table import Column, bars, figures, names, table
from attn_cli.errors import counted, shortened
from attn_cli.questions.ablate.choices import MASK
from attn_cli.questions.ablate.corpus import Correlations
from attn_cli.questions.ablate.cutting import Edges
from attn_cli.questions.ablate.measure import LISTED, Ablation, CutTrial
from attn_cli.questions.ablate.output import Likely

__all__ = ["draw"]

LONGEST_WORD = 14
WIDEST = 24
"""Most cells of the names of several heads in a line."""

INSTEAD: Mapping[str, str] = {
    "zero": "zeroed",
    "mean": "replaced by its mean over this text's positions",
    "even": "made even over the keys that it sees",
}
ALL_INSTEAD: Mapping[str, str] = {
    "zero": "zeroed",
    "mean": "replaced by their means over this text's positions",
    "even": "made even over the keys that they see",
}


def draw(answer: Ablation | Correlations, screen: Screen) -> Group:
    """Draw the answer of `attn ablate`."""
    if isinstance(answer, Correlations):
        return _draw_corpus(answer, screen)
    return _AblationDrawing(answer, screen).draw()


def _draw_corpus(found: Correlations, screen: Screen) -> Group:
    """Draw how weight and effect go together in each head of a corpus."""
    much = f"{counted(found.texts, 'text')}, {counted(found.tokens, 'token')}"
    top = model_line(found.record, found.kind, screen, much=much)
    heading = drawing(text_lines(f"{found.query}: each key in turn, cut in each {found.kind} head by itself", screen))
    values = {(one.layer, one.head): one.mean for one in found.heads}
    written = {
        place: Written(change(value, unicode=screen.unicode), " ")
        for place, value in values.items()
        if math.isfinite(value)
    }
    picture = atlas(values, screen, name="rank", scale=CHANGES, written=written)
    every = found.record.selection.all
    ranked = found.ranked if every else found.ranked[:LISTED]
    room = room_left([top, heading, *picture], screen, everything=every)
    said = (
        "rank: Spearman's rank correlation of the keys' weights and the sizes of their effects, the mean over texts; "
        "1: weights tell what matters, 0: they do not. spread: standard deviation. "
        f"Mean over all heads: {_signed(found.mean, screen)}."
    )

    def make(limit: int | None) -> RenderableType:
        some = ranked[:limit]
        columns = [
            names("head", [name_head(one.layer, one.head) for one in some], screen, right=True),
            figures("rank", [one.mean for one in some], form="+.2f"),
            figures("spread", [one.spread for one in some]),
            figures("least", [one.least for one in some], form="+.2f", rank=1),
            figures("most", [one.most for one in some], form="+.2f", rank=1),
            figures("texts", [float(one.texts) for one in some], form=".0f", rank=2, faint=0.0),
        ]
        shown = f" {len(some)} of {len(found.heads):,} heads, highest first; --all shows all."
        return table(columns, screen, order="rank", caption=said + shown * (len(some) < len(found.heads)))

    return stacked([top, heading, *picture, fitting(make, len(ranked), screen, room)])


def _signed(value: float, screen: Screen) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else "–" if screen.unicode else "-"


@dataclass(frozen=True, eq=False)
class _AblationDrawing:
    """The parts of the drawing."""

    found: Ablation
    screen: Screen

    def draw(self) -> Group:
        found, screen = self.found, self.screen
        kinds = found.kinds
        heads = len(found.trials) if found.view == "heads" and len(kinds) > 1 else None
        top = Group(model_line(found.record, kinds[0], screen, total=heads), *remarks(found.record, kinds[0], screen))
        parts: list[RenderableType] = [top]
        if found.view == "heads":
            heading = self._heading()
            parts += [heading, *self._atlases()]
            ending = self._changes()
            room = room_left([*parts, *ending], screen, everything=found.record.selection.all)
            ranked = found.ranked if found.record.selection.all else found.ranked[:LISTED]
            parts.append(fitting(lambda limit: self._heads(ranked[:limit]), len(ranked), screen, room))
            return stacked([*parts, *ending])
        parts.append(self._heading())
        if found.view == "cut":
            trial = found.trials[0]
            parts += self._texts()
            ending = self._likeliest(trial)
            sizes = np.abs(trial.after.words - found.before.words)
            return stacked(
                [*parts, self._fitted(lambda some: self._words(trial, some), sizes, [*parts, *ending]), *ending]
            )
        if found.view == "layers":
            return stacked([*parts, self._layers()])
        sizes = np.array([abs(trial.effect) for trial in found.trials])
        return stacked([*parts, self._fitted(self._keys, sizes, parts)])

    def _fitted(
        self,
        make: Callable[[Sequence[int]], RenderableType],
        sizes: Float[np.ndarray, "row"],
        beside: Sequence[RenderableType],
    ) -> RenderableType:
        """Draw a table with as many rows as there is room for: those with the largest effects, in their own order."""
        room = room_left(beside, self.screen, everything=self.found.record.selection.all)
        order = np.argsort(-sizes, kind="stable")
        return fitting(lambda limit: make(sorted(order[:limit].tolist())), len(sizes), self.screen, room)

    def _left_out(self, shown: int, count: int, what: str) -> str:
        return (
            f" {shown} of {count:,} {what}, those with the largest effects; --all shows all." if shown < count else ""
        )

    @property
    def _arrow(self) -> str:
        return " → " if self.screen.unicode else " > "

    # What was cut, and what is measured.

    def _heading(self) -> RenderableType:
        """Draw what was cut, what is measured, and the output with nothing cut."""
        lines = text_lines(self._cut(), self.screen)
        lines += caption_lines(f"Output: {self._measured()}.", self.screen)
        if self.found.view != "cut" and not self.found.output.states:
            lines += [line(), *self._output_words()]
        return drawing(lines)

    def _cut(self) -> str:
        """Say what was cut, and what stands in its place."""
        found = self.found
        if found.view == "heads":
            what = "Every head in turn"
            return f"{what}, {INSTEAD[found.instead or 'zero']}"
        trial = found.trials[0]
        heads = self._heads_of(trial)
        if found.view == "cut" and not trial.edges:
            several = sum(map(len, trial.heads.values())) > 1
            return f"{heads} {(ALL_INSTEAD if several else INSTEAD)[found.instead or 'zero']}"
        if found.view == "keys":
            query, _ = trial.edges[0].names
            return f"{query}{self._arrow}each key in turn, cut in {self._heads_in(found.trials[0])}"
        edges = ", ".join(map(self._edge, trial.edges))
        if found.view == "layers":
            return f"{edges} cut in each band of {trial.kind} layers in turn"
        weight = "" if trial.weight is None or not math.isfinite(trial.weight) else f" (weight {trial.weight:.2f})"
        return f"{edges}{weight} cut in {self._heads_in(trial)}"

    def _edge(self, edges: Edges) -> str:
        start, end = edges.names
        if not start:
            return f"all that look at {shortened(end, WIDEST)}"
        if not end:
            return f"all that {shortened(start, WIDEST)} looks at"
        return f"{shortened(start, WIDEST)}{self._arrow}{shortened(end, WIDEST)}"

    def _heads_of(self, trial: CutTrial) -> str:
        """Name the heads of a trial: `Encoder head 2.0`, `Encoder layer 2`."""
        stack = self.found.record.model.stacks[trial.kind]
        kind = trial.kind.capitalize()
        if all(len(heads) == stack.heads[layer] for layer, heads in trial.heads.items()):
            if len(trial.heads) == len(stack.heads):
                return f"All {trial.kind} heads"
            return f"{kind} layer{'s' if len(trial.heads) > 1 else ''} {listed(tuple(trial.heads))}"
        every = [name_head(layer, head) for layer, heads in trial.heads.items() for head in heads]
        if len(every) > LISTED:
            return f"{len(every)} {trial.kind} heads"
        return f"{kind} head{'s' if len(every) > 1 else ''} {', '.join(every)}"

    def _heads_in(self, trial: CutTrial) -> str:
        said = self._heads_of(trial)
        return said[0].lower() + said[1:]

    def _measured(self) -> str:
        """Name the output."""
        read, before = self.found.output, self.found.before
        if read.states:
            return "last states, and how far they turn (1 - cosine)"
        if read.names is not None:
            one, other = (shortened(name.strip() or name, WIDEST) for name in read.names)
            return f"logit of {one} less that of {other}, {before.whole:+.2f}"
        chance = f"log-probability {before.whole:.2f}"
        if read.kind == "target":
            which = "its own translation" if read.translation is not None else "the target"
            return f"{which}, {chance}"
        if read.kind == "mask":
            return f"{self._quoted()} in place of {MASK}, {chance}"
        if len(read.place_labels) == 1 and read.wanted.places == ():
            return f"each next token of the text, {chance}"
        return f"{self._quoted()} after the text, {chance}"

    def _quoted(self) -> str:
        text = " ".join(word.label for word in self.found.output.words)
        return f"“{shortened(text, WIDEST)}”" if self.screen.unicode else f'"{shortened(text, WIDEST)}"'

    def _output_words(self) -> list[Text]:
        """Draw the words of the output over their probabilities, side by side."""
        if self.found.output.against is not None:
            return self._side_by_side([self._likely(self.found.before.top[0])])
        chances = np.exp(self.found.before.words.astype(np.float64)).tolist()
        pieces = [
            (clipped(word.label, LONGEST_WORD, unicode=self.screen.unicode), chance, word.special)
            for word, chance in zip(self.found.output.words, chances, strict=True)
        ]
        return self._side_by_side(pieces)

    def _likely(self, one: Likely) -> tuple[str, float, bool]:
        return clipped(one.text.strip(), LONGEST_WORD, unicode=self.screen.unicode), one.probability, False

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

        for label, chance, special in pieces:
            size = max(width(label), 3)
            if cells(words) + size + 1 > self.screen.width:
                end()
            gap: list[Part] = [(" ", PLAIN)] if words else []
            (level,) = scale.levels(np.array([chance])).tolist()
            text = number(chance, unicode=self.screen.unicode).center(size)
            words += [*gap, (label.center(size) if width(label) < size else label, DIM if special else BOLD)]
            chances += [*gap, (text, painted(level, self.screen))]
        end()
        return lines

    # Every head in turn.

    def _atlases(self) -> list[RenderableType]:
        found, screen = self.found, self.screen
        effects = np.array([trial.effect for trial in found.trials])
        scale = (
            Scale.weights(max(float(effects.max(initial=0)), 1e-6)) if found.output.states else Scale.around(effects)
        )
        drawn: list[RenderableType] = []
        for kind in found.kinds:
            values = {
                (layer, head): trial.effect
                for trial in found.trials
                if trial.kind == kind
                for layer, heads in trial.heads.items()
                for head in heads
            }
            written = None
            if not found.output.states:
                written = {
                    place: Written(change(value, unicode=screen.unicode), " ") for place, value in values.items()
                }
            drawn += atlas(
                values,
                screen,
                name=kind if len(found.kinds) > 1 else "effect",
                scale=scale,
                places=3 if found.output.states else 2,
                written=written,
            )
        return [Group(*drawn)] if drawn else []

    def _heads(self, trials: Sequence[CutTrial]) -> RenderableType:
        """Draw the heads with the largest effects."""
        found, screen = self.found, self.screen
        columns: list[Column] = []
        if len(found.kinds) > 1:
            columns.append(names("kind", [trial.kind for trial in trials], screen))
        columns.append(names("head", [self._names_of(trial) for trial in trials], screen, right=True))
        columns.append(self._effects(trials))
        if found.output.against is None and (len(found.output.words) > 1 or found.output.states):
            columns.append(self._hit(trials))
        columns.append(self._before_after(trials))
        summaries = [trial.summary for trial in trials]
        columns.append(figures("focus", [None if one is None else one.focus for one in summaries], rank=2))
        columns.append(figures("sink", [None if one is None else one.first for one in summaries], rank=1))
        said = [self._legend()]
        if len(trials) < len(found.trials):
            said.append(f"{len(trials)} of {counted(len(found.trials), 'head')}, largest effects first.")
        said.append("sink: weight on the first token.")
        return table(columns, screen, order="effect", caption=" ".join(said))

    def _names_of(self, trial: CutTrial) -> str:
        return ", ".join(name_head(layer, head) for layer, heads in trial.heads.items() for head in heads)

    def _effects(self, trials: Sequence[CutTrial]) -> Column:
        values = [trial.effect for trial in trials]
        if self.found.output.states:
            return figures("effect", values, form=".4f", faint=1e-4)
        return figures("effect", values, form="+.2f")

    def _hit(self, trials: Sequence[CutTrial]) -> Column:
        """Make a column of the word of the output that each cut changes most."""
        labels = [self.found.output.words[self.found.hit(trial)].label for trial in trials]
        return names("hits most", labels, self.screen)

    def _before_after(self, trials: Sequence[CutTrial]) -> Column:
        """Make a column of the probability (or difference) of the word that each cut changes most."""
        rows: list[list[Part]] = []
        for trial in trials:
            hit = self.found.hit(trial)
            after = trial.after.words[hit]
            if self.found.output.states:
                rows.append([(f"{after:.4f}", PLAIN)])
                continue
            rows.append(
                [(self._figure(self.found.before.words[hit]), PLAIN), (self._arrow, DIM), (self._figure(after), BOLD)]
            )
        name = "turns by" if self.found.output.states else "difference" if self.found.output.against else "probability"
        return Column(name, rows)

    def _figure(self, value: np.float32 | float) -> str:
        """Format a log-probability as a probability, or a difference of logits as it is."""
        return f"{float(value):+.2f}" if self.found.output.against is not None else f"{math.exp(float(value)):.2f}"

    def _legend(self) -> str:
        """Say what an effect is, and what its sign means."""
        read = self.found.output
        cut = "heads" if self.found.instead is not None else "edges"
        one = "head" if cut == "heads" else "edge"
        if read.states:
            return "effect: 1 - cosine of the mean of the last states, before and after; 0 if nothing changes."
        what = "difference of the logits" if read.against is not None else "log-probability of the whole output"
        return (
            f"effect: {what} after the cut less before, in nats; below 0, the {one} speaks for the output, above 0 "
            "against it."
        )

    def _changes(self) -> list[RenderableType]:
        """Draw what it takes to change the likeliest word."""
        found = self.found
        if not found.before.top:
            return []
        total = len(found.trials)
        lines: list[Text] = []
        for trial in found.changing[:LISTED]:
            place = found.changed_place(trial.after) or 0
            what = f"{self._heads_of(trial)} alone"
            lines += self._change(what, place, trial.after.top[place], trial.translation)
        rest = total - len(found.changing)
        if found.changing:
            lines += caption_lines(f"None of the other {rest} does." if rest else "", self.screen)
        elif found.flip is not None:
            heads = ", ".join(
                f"{kind} {name_head(layer, head)}" if len(found.kinds) > 1 else name_head(layer, head)
                for kind, layer, head in found.flip.heads
            )
            what = f"No head alone, but {len(found.flip.heads)} together ({heads})"
            lines += self._change(what, found.flip.place, found.flip.after, found.flip.translation)
        else:
            lines += caption_lines(
                f"No head alone does, nor the {min(LISTED, total)} together that speak most for the output.",
                self.screen,
            )
        title = line(("What changes the likeliest token", BOLD))
        return [drawing([title, *lines])]

    def _change(self, what: str, place: int, after: Likely, text: str | None) -> list[Text]:
        """Draw how the likeliest token of a place changes, and the text that the model then writes."""
        before = self.found.before.top[place]
        one, other = _told_apart([before, after])
        said = f"{what}: {one} {before.probability:.2f}{self._arrow}{other} {after.probability:.2f}"
        words = [clipped(word, self.screen.width, unicode=self.screen.unicode) for word in said.split()]
        lines = flow([[(word, PLAIN)] for word in words], self.screen, between=" ")
        if text is not None and self.found.text_before is not None:
            lines += emphasized(text, self.found.text_before, self.screen)
        return lines

    # One cut.

    def _texts(self) -> list[RenderableType]:
        """Draw what the model writes before and after, what changed in bold."""
        before, after = self.found.text_before, self.found.trials[0].translation
        if before is None or after is None:
            return []
        if before == after:
            return [drawing(emphasized(before, before, self.screen, lead="unchanged", indent=len("unchanged ")))]
        pairs = (("before", before, after), ("after ", after, before))
        lines = [emphasized(text, other, self.screen, lead=lead, indent=7) for lead, text, other in pairs]
        return [drawing(chain.from_iterable(lines))]

    def _words(self, trial: CutTrial, shown: Sequence[int]) -> RenderableType:
        """Draw some words of the output before and after."""
        found, screen = self.found, self.screen
        words = [found.output.words[index] for index in shown]
        before, after = (one.words[list(shown)].tolist() for one in (found.before, trial.after))
        column = names("word", [word.label for word in words], screen)
        left_out = self._left_out(len(shown), len(found.output.words), "words")
        if found.output.states:
            return table(
                [column, bars("turns by", after, screen, high=max(*trial.after.words.tolist(), 1e-6), places=4)],
                screen,
                caption=f"turns by: 1 - cosine of the word's last states, before and after. The mean of the states of "
                f"all words turns by {trial.effect:.2g}.{left_out}",
            )
        effect = figures("effect", [late - early for early, late in zip(before, after, strict=True)], form="+.2f")
        speaker = (
            "heads speak"
            if found.instead and sum(map(len, trial.heads.values())) > 1
            else "head speaks"
            if found.instead
            else "edge speaks"
        )
        if found.output.against is not None:
            return table(
                [figures("before", before, form="+.2f"), figures("after", after, form="+.2f"), effect],
                screen,
                caption=f"effect: difference of the logits after the cut less before; below 0, the {speaker} for "
                f"{found.output.words[0].label}.",
            )
        columns = [
            column,
            bars("before", [math.exp(value) for value in before], screen),
            bars("after", [math.exp(value) for value in after], screen),
            effect,
        ]
        whole = f" All words: {trial.effect:+.2f}." if len(found.output.words) > 1 else ""
        return table(
            columns,
            screen,
            caption=f"effect: log-probability after the cut less before, in nats; below 0, the {speaker} for the word, "
            f"above 0 against it.{whole}{left_out}",
        )

    def _likeliest(self, trial: CutTrial) -> list[RenderableType]:
        """Draw the likeliest tokens of one place, before and after: the first that changed, or else the last."""
        found = self.found
        if not found.before.likeliest:
            return []
        place = found.changed_place(trial.after)
        if place is None:
            if found.output.kind == "target":
                return []
            place = 0
        pairs = zip(found.before.likeliest[place], trial.after.likeliest[place], strict=True)
        sides = list(zip(*pairs, strict=True))
        columns = [
            part
            for name, side in zip(("before", "after"), sides, strict=True)
            for part in (
                names(f"likeliest {name}", _told_apart(side), self.screen),
                figures("", [one.probability for one in side]),
            )
        ]
        title = found.output.place_labels[place]
        said = f"In the place of {title}." if found.output.kind == "target" else f"{title[0].upper()}{title[1:]}."
        return [table(columns, self.screen, caption=said)]

    # In turn.

    def _layers(self) -> RenderableType:
        """Draw each band of layers."""
        trials = self.found.trials
        columns = [
            names("layers", [listed(tuple(trial.heads)) for trial in trials], self.screen, right=True),
            figures("weight", [trial.weight for trial in trials], rank=1),
            self._effects(trials),
            *self._in_turn(trials),
        ]
        apart = [len(trials) - 1] if len(trials) > 1 else []
        return table(
            columns,
            self.screen,
            apart=apart,
            caption=f"{self._legend()} weight: share of the row, the mean over heads.",
        )

    def _keys(self, shown: Sequence[int]) -> RenderableType:
        """Draw some keys of the query."""
        found, trials = self.found, [self.found.trials[index] for index in shown]
        weights = [0.0 if trial.weight is None else trial.weight for trial in trials]
        columns = [
            names("key", [trial.edges[0].names[1] for trial in trials], self.screen),
            bars("weight", weights, self.screen),
            self._effects(trials),
            *self._in_turn(trials),
        ]
        told = "is not defined" if found.correlation is None else f"{found.correlation:+.2f}"
        count = sum(map(len, trials[0].heads.values()))
        mean = f"weight: the mean over {count} heads. " if count > 1 else ""
        return table(
            columns,
            self.screen,
            caption=f"{mean}{self._legend()} Rank correlation of weight and size of effect (Spearman): {told}."
            f"{self._left_out(len(shown), len(found.trials), 'keys')}",
        )

    def _in_turn(self, trials: Sequence[CutTrial]) -> list[Column]:
        """Make the columns of the word that each cut changes most, and its figures."""
        columns = []
        if self.found.output.against is None and (len(self.found.output.words) > 1 or self.found.output.states):
            columns.append(self._hit(trials))
        return [*columns, self._before_after(trials)]


def _told_apart(tokens: Sequence[Likely]) -> list[str]:
    """Return the texts of tokens, without the space before a word unless another token is the same but for it."""
    bare = [one.text.strip() or one.text for one in tokens]
    return [one.text if bare.count(text) > 1 else text for one, text in zip(tokens, bare, strict=True)]
