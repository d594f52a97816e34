"""Drawing of the runs with cuts: an atlas of heads, tables of heads, words, layers and keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.patches import pixels_of
from attn_cli.data.plan import listed, name_head
from attn_cli.data.selection import Kind
from attn_cli.data.shapes import Float
from attn_cli.data.units import Units
from attn_cli.draw.atlas import Written, atlas, atlas_form
from attn_cli.draw.colors import Scale
from attn_cli.draw.labels import clean, clipped, fit, width
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.patches import PatchRow, patch_picture
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, change, drawing, emphasized, flow, line
from attn_cli.draw.table import FAINT, GAP, Column, bars, figures, form_of, names, numeral, table
from attn_cli.errors import counted, shortened
from attn_cli.measure.patches import on_grid
from attn_cli.questions.ablate.draw_heading import arrow, name_heads
from attn_cli.questions.ablate.output import Likely, OutputWord
from attn_cli.questions.ablate.trials import LISTED, Ablation, CutTrial

__all__ = ["TrialDrawing", "correlated", "effect_atlases", "effects_column"]

LONGEST_TOKEN = 14
SHORTEST_WORD = 5
"""Fewest cells of a word of the output on a narrow screen."""
NOISE = 2e-5
"""Change of a log-probability or logit that float32 makes of nothing, as runs are computed side by side."""
TINIEST = 1e-30
"""An effect as large as a bar or a scale at the least."""
PARTS = {1_000: "thousandth", 1_000_000: "millionth", 1_000_000_000: "billionth"}
"""The parts that small effects are written in, largest first."""
LOWEST = 16
"""Lines that effects may take in numbers, however little room there is."""
LEAST_DRAWN = 0.005
"""A turn as large as a picture of an image shows at the least."""
NARROW = 50
"""Columns of a screen below which there is no room for long names of columns."""


@dataclass(frozen=True, eq=False)
class TrialDrawing:
    """The parts of a drawing that show what became of the output."""

    found: Ablation
    screen: Screen

    def fitted(
        self,
        make: Callable[[Sequence[int]], RenderableType],
        sizes: Float[np.ndarray, "row"],
        beside: Sequence[RenderableType],
    ) -> RenderableType:
        """Draw a table with as many rows as there is room for: those with the largest effects, in their own order."""
        room = room_left(beside, self.screen, everything=self.found.record.selection.all)
        order = np.argsort(-sizes, kind="stable")
        return fitting(lambda limit: make(sorted(order[:limit].tolist())), len(sizes), self.screen, room)

    @property
    def _units(self) -> str:
        """Name the places of the output."""
        return "patches" if self.found.unit == "patch" else "words"

    def _left_out(self, shown: int, count: int, what: str) -> str:
        return (
            f" {shown} of {count:,} {what}, those with the largest effects; --all shows all." if shown < count else ""
        )

    def atlases(self, room: int | None = None) -> list[RenderableType]:
        """Draw each head's effect, in so many lines if it can be; None for no limit."""
        found = self.found
        values: dict[Kind, dict[tuple[int, int], float]] = {kind: {} for kind in found.kinds}
        for trial in found.trials:
            for layer, heads in trial.heads.items():
                values[trial.kind] |= {(layer, head): trial.effect for head in heads}
        return effect_atlases(values, self.screen, states=found.output.states, room=room)

    def heads(self, trials: Sequence[CutTrial]) -> RenderableType:
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
        if found.other is not None:
            columns.append(figures("moved", [trial.moved for trial in trials]))
        if found.instead is None:
            columns.append(figures("weight", [trial.weight for trial in trials], rank=1))
        else:
            summaries = [trial.summary for trial in trials]
            columns.append(figures("focus", [None if one is None else one.focus for one in summaries], rank=2))
            columns.append(figures("sink", [None if one is None else one.first for one in summaries], rank=1))
        said = [self._legend()]
        if len(trials) < len(found.trials):
            said.append(f"{len(trials)} of {counted(len(found.trials), 'head')}, largest effects first.")
        if found.other is not None:
            said.append("moved: from this text's output, 0, to the other's, 1.")
        said.append("weight: share of the row." if found.instead is None else "sink: weight on the first token.")
        return table(columns, screen, order="effect", caption=" ".join(said))

    def _names_of(self, trial: CutTrial) -> str:
        return ", ".join(name_head(layer, head) for layer, heads in trial.heads.items() for head in heads)

    def _effects(self, trials: Sequence[CutTrial]) -> Column:
        return effects_column([trial.effect for trial in trials], form=self._form(trials))

    def _form(self, trials: Sequence[CutTrial]) -> str:
        """Return the format of the effects of some runs."""
        effects = (trial.effect for trial in trials)
        return form_of(effects, ".4f") if self.found.output.states else form_of(effects, "+.2f", noise=NOISE)

    def _hit(self, trials: Sequence[CutTrial]) -> Column:
        """Make a column of the word of the output that each cut changes most."""
        labels = [self.found.output.words[self.found.hit(trial)].label for trial in trials]
        return names("hits most", labels, self.screen)

    def _before_after(self, trials: Sequence[CutTrial]) -> Column:
        """Make a column of the probability (or difference) of the word that each cut changes most."""
        hits = [self.found.hit(trial) for trial in trials]
        after = [float(trial.after.words[hit]) for trial, hit in zip(trials, hits, strict=True)]
        if self.found.output.states:
            return figures("turns by", after, form=self._form(trials), faint=0.0)
        before = [float(self.found.before.words[hit]) for hit in hits]
        forms = ["+.2f" for _ in hits]
        if self.found.output.against is None:  # log-probabilities are shown as probabilities
            before, after = ([math.exp(value) for value in values] for values in (before, after))
            forms = [form_of(pair, ".2f") for pair in zip(before, after, strict=True)]
        ends = [[numeral(*one) for one in zip(values, forms, strict=True)] for values in (before, after)]
        early, late = ([text.rjust(max(map(len, texts), default=0)) for text in texts] for texts in ends)
        rows: list[list[Part]] = [
            [(one, PLAIN), (arrow(self.screen), DIM), (other, BOLD)] for one, other in zip(early, late, strict=True)
        ]
        return Column("difference" if self.found.output.against else "probability", rows)

    def _legend(self) -> str:
        """Say what an effect is, and what its sign means."""
        read = self.found.output
        if read.states:
            return "effect: 1 - cosine of the mean of the last states, before and after; 0 if nothing changes."
        what = "difference of the logits" if read.against is not None else "log-probability of the whole output"
        sides = self._sides(self._speaker(self.found.trials[0]), "the output")
        return f"effect: {what} after the cut less before, in nats; {sides}."

    def _speaker(self, trial: CutTrial) -> str:
        """Name what a run cut, with its verb."""
        if self.found.instead is not None:
            return "heads speak" if sum(map(len, trial.heads.values())) > 1 else "head speaks"
        several = len(trial.edges) > 1 or not all(trial.edges[0].labels)
        return "edges speak" if several else "edge speaks"

    def _sides(self, speaker: str, whole: str) -> str:
        """Say what the sign of an effect means."""
        names = self.found.output.names
        if names is None:
            return f"below 0, the {speaker} for {whole}, above 0 against it"
        one, other = (shortened(name, LONGEST_TOKEN) for name in names)
        return f"below 0, the {speaker} for {one}, above 0 for {other}"

    def changes(self) -> list[RenderableType]:
        """Draw what it takes to change the likeliest word."""
        found = self.found
        if not found.before.top:
            return []
        total = len(found.trials)
        lines: list[Text] = []
        for trial in found.changing[:LISTED]:
            place = found.changed_place(trial.after) or 0
            what = f"{name_heads(found.record, trial.kind, trial.heads)} alone"
            lines += self._change(what, place, trial.after.top[place], trial.translation)
        rest = total - len(found.changing)
        if found.changing:
            said = f"None of the other {rest} does." if rest > 1 else "The other does not." if rest else ""
            if self._is_third(found.changing):
                said += " The difference of two logits can stay as it is while a third token becomes likeliest."
            lines += caption_lines(said, self.screen)
        elif found.flip is not None:
            heads = ", ".join(
                f"{kind} {name_head(layer, head)}" if len(found.kinds) > 1 else name_head(layer, head)
                for kind, layer, head in found.flip.heads
            )
            what = f"No head alone, but {len(found.flip.heads)} together ({heads})"
            lines += self._change(what, found.flip.place, found.flip.after, found.flip.translation)
        elif total > 1:
            lines += caption_lines(
                f"No head alone does, nor the {min(LISTED, total)} together that speak most for the output.",
                self.screen,
            )
        else:
            (trial,) = found.trials
            lines += caption_lines(f"{name_heads(found.record, trial.kind, trial.heads)} does not.", self.screen)
        title = line(("What changes the likeliest token", BOLD))
        return [drawing([title, *lines])]

    def _is_third(self, trials: Sequence[CutTrial]) -> bool:
        """Return whether two tokens are compared, and a run has another as its likeliest."""
        compared = self.found.output.against
        return compared is not None and any(trial.after.top[0].token not in compared for trial in trials)

    def _change(self, what: str, place: int, after: Likely, text: str | None) -> list[Text]:
        """Draw how the likeliest token of a place changes, and the text that the model then writes."""
        before = self.found.before.top[place]
        one, other = _told_apart([before, after])
        form = form_of([before.probability, after.probability], ".2f")
        early, late = (numeral(token.probability, form) for token in (before, after))
        said = f"{what}: {one} {early}{arrow(self.screen)}{other} {late}"
        output = self.found.output
        if text is None and max(len(output.words), len(output.place_labels)) > 1:
            said += f" {output.place_labels[place]}"
        words = [clipped(word, self.screen.width, unicode=self.screen.unicode) for word in said.split()]
        lines = flow([[(word, PLAIN)] for word in words], self.screen, between=" ")
        if text is not None and self.found.text_before is not None:
            lines += self._rewritten(text, self.found.text_before)
        return lines

    def _rewritten(self, text: str, before: str) -> list[Text]:
        """Draw what the model writes after a cut; a search can keep to a word that is no longer the likeliest."""
        if text == before:
            return emphasized(before, before, self.screen, lead="unchanged", indent=len("unchanged "))
        return emphasized(text, before, self.screen)

    # One cut.

    def texts(self) -> list[RenderableType]:
        """Draw what the model writes before and after, what changed in bold."""
        before, after = self.found.text_before, self.found.trials[0].translation
        if before is None or after is None:
            return []
        there = None if self.found.other is None else self.found.other.translation
        if before == after and there is None:
            return [drawing(self._rewritten(after, before))]
        pairs = [("before", before, after), ("after ", after, before)]
        pairs += [] if there is None else [("there ", there, before)]
        lines = [emphasized(text, other, self.screen, lead=lead, indent=7) for lead, text, other in pairs]
        return [drawing(chain.from_iterable(lines))]

    def words(self, trial: CutTrial, shown: Sequence[int]) -> RenderableType:
        """Draw some words of the output before and after."""
        found, screen = self.found, self.screen
        words = [found.output.words[index] for index in shown]
        before, after = (one.words[list(shown)].tolist() for one in (found.before, trial.after))
        left_out = self._left_out(len(shown), len(found.output.words), self._units)
        turns = form_of(after, ".4f")
        chances = [[math.exp(value) for value in values] for values in (before, after)]
        likely = form_of(chain.from_iterable(chances), ".2f")
        there: list[Column] = []
        beside = ""
        if found.other is not None:
            if found.output.comparable:
                values = found.other.figures.words[list(shown)].tolist()
                if found.output.states:
                    there = [figures("there", values, form=turns, rank=1)]
                elif found.output.against is not None:
                    there = [figures("there", values, form="+.2f", rank=1)]
                else:
                    there = [figures("there", [math.exp(value) for value in values], form=likely, rank=1)]
                beside = " there: in the other text."
            if trial.moved is not None:
                beside += f" The output moved {trial.moved:.2f} of the way to the other text's."
        if found.output.states:
            return self._by_word(
                words,
                [
                    bars("turns by", after, screen, high=max(*trial.after.words.tolist(), TINIEST), form=turns),
                    *there,
                ],
                f"turns by: 1 - cosine of the {found.unit}'s last states, before and after. The mean of the states of "
                f"all {self._units} turns by {numeral(trial.effect, '.2g')}.{beside}{left_out}",
            )
        effect = effects_column([late - early for early, late in zip(before, after, strict=True)])
        speaker = self._speaker(trial)
        if found.output.against is not None:
            return table(
                [figures("before", before, form="+.2f"), figures("after", after, form="+.2f"), *there, effect],
                screen,
                caption="effect: difference of the logits after the cut less before, in nats; "
                f"{self._sides(speaker, 'the output')}.{beside}",
            )
        columns = [
            *(
                bars(name, values, screen, form=likely)
                for name, values in zip(("before", "after"), chances, strict=True)
            ),
            *there,
            effect,
        ]
        effects = numeral(trial.effect, form_of([trial.effect], "+.2f", noise=NOISE))
        whole = f" All words: {effects}." if len(found.output.words) > 1 else ""
        return self._by_word(
            words,
            columns,
            "effect: log-probability after the cut less before, in nats; "
            f"{self._sides(speaker, 'the word')}.{whole}{beside}{left_out}",
        )

    def _by_word(self, words: Sequence[OutputWord], columns: Sequence[Column], caption: str) -> RenderableType:
        """Draw columns beside the words of the output, which have the room that the columns leave."""
        room = self.screen.width - sum(column.width + len(GAP) for column in columns if not column.rank)
        labels = [word.label for word in words]
        unit = "patch" if self.found.unit == "patch" else "word"
        column = names(unit, labels, self.screen, most=max(min(room, LONGEST_TOKEN), SHORTEST_WORD))
        return table([column, *columns], self.screen, caption=caption)

    def on_image(self, trial: CutTrial, room: int | None) -> list[RenderableType]:
        """Draw how far each patch of an image turns on the grid of patches; nothing of a text, or of tiny effects."""
        found = self.found
        image, values = found.record.source.grid, trial.after.words
        if image is None or values.max() < LEAST_DRAWN:
            return []
        units = Units.of(found.record.source, found.record.selection.unit)
        row = PatchRow(
            on_grid(values, units),
            beside=[
                (word.label, value)
                for word, value in zip(found.output.words, values.tolist(), strict=True)
                if word.special
            ],
            thumbnail=None if image.thumbnail is None else pixels_of(image.thumbnail),
            noun="turn",
        )
        return [patch_picture(row, self.screen, title="How far each patch turns (1 - cosine)", room=room)]

    def likeliest(self, trial: CutTrial) -> list[RenderableType]:
        """Draw the likeliest tokens of one place, before and after: the first that changed, or else the last."""
        found = self.found
        if not found.before.likeliest:
            return []
        place = found.changed_place(trial.after)
        if found.output.apart is not None and found.output.apart.place is not None:
            place = found.output.apart.place
        if place is None:
            if found.output.kind == "target":
                return []
            place = 0
        sides = (("before", found.before.likeliest[place]), ("after", trial.after.likeliest[place]))
        form = form_of((one.probability for _, likely in sides for one in likely), ".2f")
        chances = [figures("", [one.probability for one in likely], form=form) for _, likely in sides]
        room = self.screen.width - sum(column.width + len(GAP) for column in chances) - len(GAP)
        columns = [
            part
            for (name, likely), chance in zip(sides, chances, strict=True)
            for part in (
                names(
                    self._likeliest_name(name),
                    _told_apart(likely),
                    self.screen,
                    most=min(LONGEST_TOKEN, room // len(sides)),
                ),
                chance,
            )
        ]
        if found.other is not None:
            columns.append(self._likeliest_there(found.other.figures.likeliest[place]))
        title = found.output.place_labels[place]
        return [table(columns, self.screen, caption=f"{title[0].upper()}{title[1:]}, with probabilities.")]

    def _likeliest_name(self, when: str) -> str:
        """Name a column of the likeliest tokens."""
        return when if self.screen.width < NARROW else f"likeliest {when}"

    def _likeliest_there(self, tokens: Sequence[Likely]) -> Column:
        """Make one column of another text's likeliest tokens and their probabilities, which goes as a whole."""
        texts = [clean(text, unicode=self.screen.unicode) for text in _told_apart(tokens)]
        size = min(max(map(width, texts), default=0), LONGEST_TOKEN)
        form = form_of((one.probability for one in tokens), ".2f")
        rows: list[list[Part]] = [
            [(fit(text, size, unicode=self.screen.unicode), BOLD), (f"  {numeral(one.probability, form)}", PLAIN)]
            for text, one in zip(texts, tokens, strict=True)
        ]
        return Column(self._likeliest_name("there"), rows, right=False, rank=1)

    # In turn.

    def layers(self) -> RenderableType:
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

    def keys(self, shown: Sequence[int]) -> RenderableType:
        """Draw some keys of the query."""
        found, trials = self.found, [self.found.trials[index] for index in shown]
        weights = [0.0 if trial.weight is None else trial.weight for trial in trials]
        columns = [
            names("key", [trial.edges[0].labels[1] for trial in trials], self.screen),
            bars("weight", weights, self.screen),
            self._effects(trials),
            *self._in_turn(trials),
        ]
        count = sum(map(len, trials[0].heads.values()))
        mean = f"weight: the mean over {count} heads. " if count > 1 else ""
        return table(
            columns,
            self.screen,
            caption=f"{mean}{self._legend()} {correlated('weight and size of effect', found.correlation)}"
            f"{self._left_out(len(shown), len(found.trials), 'keys')}",
        )

    def _in_turn(self, trials: Sequence[CutTrial]) -> list[Column]:
        """Make the columns of the word that each cut changes most, and its figures."""
        columns = []
        if self.found.output.against is None and (len(self.found.output.words) > 1 or self.found.output.states):
            columns.append(self._hit(trials))
        return [*columns, self._before_after(trials)]


def correlated(what: str, value: float | None) -> str:
    """Say how two figures go together."""
    told = " is not defined" if value is None else f": {value:+.2f}"
    return f"Rank correlation of {what} (Spearman){told}."


def effects_column(values: Sequence[float | None], *, name: str = "effect", form: str = "") -> Column:
    """Make a column of effects, of which the largest is not written as 0.

    Args:
        values: the effect in each row.
        name: name of the column.
        form: format specification of an effect; by default two decimals, or scientific notation if all are smaller.
    """
    form = form or form_of((value for value in values if value is not None), "+.2f", noise=NOISE)
    return figures(name, values, form=form, faint=0.0 if "e" in form else 1e-4 if form == ".4f" else FAINT)


def effect_atlases(
    values: Mapping[Kind, Mapping[tuple[int, int], float]],
    screen: Screen,
    *,
    states: bool,
    name: str = "effect",
    least: float = 0.0,
    room: int | None = None,
) -> list[RenderableType]:
    """Draw the effects of the heads of each kind of attention, all on one scale.

    Args:
        values: the effect of each head.
        screen: the screen to draw on.
        states: whether states are measured, whose effects have no sign.
        name: name of the figure, if all heads are of one kind.
        least: size of the largest effect below which they are written in parts of a nat; by default, that which the
            usual decimals write as 0.
        room: lines left for all of them; None for no limit.
    """
    heights = [len({layer for layer, _ in heads}) + 1 for heads in values.values()]
    room = None if room is None or sum(heights) <= max(room, LOWEST) else max(room // len(heights), 0)
    effects = np.array([value for heads in values.values() for value in heads.values()])
    largest = float(np.abs(effects).max(initial=0))
    places = 3 if states else 2
    numbers = any(atlas_form(heads, screen, size=places + 2, room=room) == "numbers" for heads in values.values())
    usual = largest >= max(least, 0.5 / 10**places) or (not states and largest <= NOISE)
    unit = 1 if usual or not numbers else next((unit for unit in PARTS if largest * unit >= 1), 1)
    scale = Scale.weights(unit * max(largest, TINIEST)) if states else Scale.around(unit * effects)
    drawn: list[RenderableType] = []
    last = list(values)[-1]
    for kind, heads in values.items():
        written = {
            place: Written(_written(value, unit, screen, signed=not states), " ") for place, value in heads.items()
        }
        drawn += atlas(
            {place: unit * value for place, value in heads.items()},
            screen,
            name=kind if len(values) > 1 else name,
            colored=name,
            legend=kind == last,
            scale=scale,
            places=places,
            written=None if states and unit == 1 else written,
            room=room,
        )
    note = _note(effects, unit, places, screen, states=states) if drawn and numbers else ""
    if note:
        drawn.append(drawing(caption_lines(note, screen)))
    return [Group(*drawn)] if drawn else []


def _note(effects: Float[np.ndarray, "head"], unit: int, places: int, screen: Screen, *, states: bool) -> str:
    """Say what the cells of an atlas are, and what a dot stands for, if there is one."""
    dot = change(0.0, unicode=screen.unicode)
    said = [] if unit == 1 else [f"in each cell, {PARTS[unit]}s{'' if states else ' of a nat'}"]
    if (np.abs(effects) * unit < 0.5 / (10**places if unit == 1 else 1)).any():
        near = f"{0.5 / 10**places:.{places + 1}f}"[1:] if unit == 1 else f"half a {PARTS[unit]}"
        said.append(f"{dot} is within {near} of 0")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _written(value: float, unit: int, screen: Screen, *, signed: bool) -> str:
    if unit == 1:
        return change(value, unicode=screen.unicode)
    parts = round(value * unit)
    return f"{parts:{'+' if signed else ''}d}" if parts else change(0.0, unicode=screen.unicode)


def _told_apart(tokens: Sequence[Likely]) -> list[str]:
    """Return the texts of tokens, without the space before a word unless another token is the same but for it."""
    bare = [one.text.strip() or one.text for one in tokens]
    return [one.text if bare.count(text) > 1 else text for one, text in zip(tokens, bare, strict=True)]
