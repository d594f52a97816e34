"""Drawing of the runs with cuts: an atlas of heads, tables of heads, words, layers and keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from attn_cli.data.plan import listed, name_head
from attn_cli.data.shapes import Float
from attn_cli.draw.colors import Scale
from attn_cli.draw.grid import Written, atlas
from attn_cli.draw.labels import clipped
from attn_cli.draw.layout import fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, change, drawing, emphasized, flow, line
from attn_cli.draw.table import Column, bars, figures, names, table
from attn_cli.errors import counted
from attn_cli.questions.ablate.draw_heading import arrow, name_heads
from attn_cli.questions.ablate.output import Likely
from attn_cli.questions.ablate.trials import LISTED, Ablation, CutTrial

__all__ = ["TrialDrawing"]


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

    def _left_out(self, shown: int, count: int, what: str) -> str:
        return (
            f" {shown} of {count:,} {what}, those with the largest effects; --all shows all." if shown < count else ""
        )

    def atlases(self) -> list[RenderableType]:
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
                [
                    (self._figure(self.found.before.words[hit]), PLAIN),
                    (arrow(self.screen), DIM),
                    (self._figure(after), BOLD),
                ]
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

    def changes(self) -> list[RenderableType]:
        """Draw what it takes to change the likeliest word."""
        found = self.found
        if not found.before.top:
            return []
        total = len(found.trials)
        lines: list[Text] = []
        for trial in found.changing[:LISTED]:
            place = found.changed_place(trial.after) or 0
            what = f"{name_heads(self.found, trial)} alone"
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
        said = f"{what}: {one} {before.probability:.2f}{arrow(self.screen)}{other} {after.probability:.2f}"
        words = [clipped(word, self.screen.width, unicode=self.screen.unicode) for word in said.split()]
        lines = flow([[(word, PLAIN)] for word in words], self.screen, between=" ")
        if text is not None and self.found.text_before is not None:
            lines += emphasized(text, self.found.text_before, self.screen)
        return lines

    # One cut.

    def texts(self) -> list[RenderableType]:
        """Draw what the model writes before and after, what changed in bold."""
        before, after = self.found.text_before, self.found.trials[0].translation
        if before is None or after is None:
            return []
        if before == after:
            return [drawing(emphasized(before, before, self.screen, lead="unchanged", indent=len("unchanged ")))]
        pairs = (("before", before, after), ("after ", after, before))
        lines = [emphasized(text, other, self.screen, lead=lead, indent=7) for lead, text, other in pairs]
        return [drawing(chain.from_iterable(lines))]

    def words(self, trial: CutTrial, shown: Sequence[int]) -> RenderableType:
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

    def likeliest(self, trial: CutTrial) -> list[RenderableType]:
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
        return [table(columns, self.screen, caption=f"{title[0].upper()}{title[1:]}.")]

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
