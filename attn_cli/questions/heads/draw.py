"""Drawing of the heads' roles: a picture of layers and heads, a table, and relations of a treebank or needles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Group, RenderableType

from attn_cli.data.plan import name_head
from attn_cli.draw.atlas import Form, Written, atlas, atlas_form, written_scores
from attn_cli.draw.captions import guided_line, model_line, remarks
from attn_cli.draw.colors import SHARES, Scale
from attn_cli.draw.layout import FEWEST_ROWS, MANY, fitting, room_left
from attn_cli.draw.screen import Screen
from attn_cli.draw.strokes import BOLD, DIM, PLAIN, Part, caption_lines, drawing, stacked
from attn_cli.draw.table import Column, bars, figures, names, table
from attn_cli.questions.heads.measure import HeadFigures, HeadsFound
from attn_cli.questions.heads.needles import Needles
from attn_cli.questions.heads.relations import WAYS, RelationScore, best
from attn_cli.questions.heads.roles import Role, find_role
from attn_cli.questions.heads.scores import RoleScore, signed

__all__ = ["draw", "values_of"]

WITH_ROLE, SINK, NO_ROLE = range(3)
"""Standing of a head in the table: with a role, with none but that of a sink, without a role."""
KEY_LINES = 3
"""Lines kept for the key of a picture of roles."""

NARROW = 60
"""Width of the screen in columns below which roles are shown by their short names."""

FIGURES: Mapping[str, Callable[[HeadFigures], float | None]] = {
    "focus": lambda one: one.summary.focus,
    "distance": lambda one: one.summary.distance,
}


SCORED = "c: a score minus the mean of its row, in nats."
SCORED_ROLES = (
    "A role's score is that of its keys minus the mean of their row, in nats, and the role is given from 1 up; that of "
    "an offset is a share of rows, and the role is given from 0.9 up."
)
OF_WEIGHTS = "Focus, distance, first and offset are of the weights."
FIRST = "first: weight on the first token."
REACHED = "its score reaches the role's threshold (see attn terms) and is above its baseline"
NAMED = "training if the head was trained for the role, declared if the model's config names it."
ORIGIN = f"origin: {NAMED}"
REPEATS = "repeats: weight on the first token where all tokens are the same, as a control."


def draw(answer: HeadsFound, screen: Screen) -> Group:
    """Draw the answer of `attn heads`."""
    return _HeadsDrawing(answer).draw(screen)


def values_of(answer: HeadsFound) -> tuple[dict[tuple[int, int], float], Scale]:
    """Return what the picture shows of each (layer, head), and on which scale."""
    return _HeadsDrawing(answer).values()


@dataclass(frozen=True, eq=False)
class _HeadsDrawing:
    """The parts of the drawing."""

    found: HeadsFound

    def draw(self, screen: Screen) -> Group:
        found, record = self.found, self.found.record
        much = (
            "" if found.plan is not None else f"{found.texts:,} text{'s' * (found.texts != 1)}, {found.tokens:,} tokens"
        )
        top: list[RenderableType] = [model_line(record, found.kind, screen, much=much)]
        top += remarks(record, found.kind, screen, found.sink)
        top += guided_line(found.guided, screen)
        if not found.heads:
            nothing = "No row can see two keys, so there is nothing to say about any head."
            if not found.texts:
                nothing = "This part has nothing to show by itself."
            return stacked([Group(*top), drawing(caption_lines(nothing, screen))])
        below, chosen = [*self._relations(screen), *self._needles(screen)], self._ordered()

        def make(limit: int | None) -> RenderableType:
            return self._table(chosen[:limit], screen)

        room = room_left([Group(*top), make(FEWEST_ROWS), *below], screen, everything=record.selection.all)
        picture = self._picture(screen, None if room is None else room - 1)
        room = room_left([Group(*top), *picture, *below], screen, everything=record.selection.all)
        body = fitting(make, len(chosen), screen, room)
        return stacked([Group(*top), *picture, body, *below])

    @property
    def _role(self) -> str | None:
        """Name of the role whose score is shown; None if it is the nearest role of each head."""
        return None if self.found.by in {"role", *FIGURES} else self.found.by.replace("-", " ")

    @property
    def _pictures_roles(self) -> bool:
        """True if the picture names each head's role; it does not show a figure."""
        return self.found.by == "role" or (self._role is not None and not find_role(self._role).formula)

    def _pictured(self, one: HeadFigures) -> Role | None:
        """Return the role that the picture names of a head."""
        score = next(iter(one.roles), None) if self._role is None else one.score(self._role)
        return None if score is None else score.role

    def _shown(self, one: HeadFigures) -> RoleScore | None:
        """Return the score that the table shows of a head: in the role asked for, or else in its nearest role."""
        return one.nearest if self._role is None else one.score(self._role)

    def _value(self, one: HeadFigures) -> float:
        """Return the value that the picture shows of a head; not-a-number if there is none."""
        if self.found.by in FIGURES:
            value = FIGURES[self.found.by](one)
        else:
            score = self._shown(one) if self.found.by != "role" else next(iter(one.roles), None)
            value = None if score is None else score.score
        return float("nan") if value is None else value

    def _ordered(self) -> list[HeadFigures]:
        """Order the heads by importance: those with roles first, or those highest in the figure asked for.

        Sinks come after all other heads with a role, since large models have hundreds of them. Of many heads, only
        those with a role are listed, and sinks only if there is no other; of many that were to find needles, too.
        """
        if self.found.by == "role":
            heads = self.found.heads
            ordered = sorted(heads, key=_standing)
            if len(heads) <= MANY or self.found.record.selection.all:
                return ordered
            return [one for one in ordered if _standing(one) == _standing(ordered[0])]
        ordered = sorted(
            self.found.heads,
            key=lambda one: (
                self._role is not None and self._shown(one) is None,
                -math.inf if math.isnan(self._value(one)) else -self._value(one),
            ),
        )
        if self.found.needles is None or len(ordered) <= MANY or self.found.record.selection.all:
            return ordered
        return [one for one in ordered if one.roles] or ordered

    @property
    def _scored(self) -> bool:
        """True if the picture shows scores: figures, and roles without a formula over scores, are of the weights."""
        return self.found.record.selection.scores and (
            bool(find_role(self._role).of_scores) if self._role is not None else self.found.by == "role"
        )

    def values(self) -> tuple[dict[tuple[int, int], float], Scale]:
        """Return what the picture shows of each (layer, head), and on which scale."""
        values = {(one.layer, one.head): self._value(one) for one in self.found.heads}
        if self._pictures_roles:
            values = {place: 0.0 if math.isnan(value) else value for place, value in values.items()}
        if self._scored:
            return values, Scale.around(np.array(list(values.values())))
        return values, Scale.between(np.array([0.0, *values.values()])) if self.found.by == "distance" else SHARES

    def _picture(self, screen: Screen, room: int | None) -> list[RenderableType]:
        heads = self.found.heads
        form: Form | None = None
        if self._pictures_roles:
            places = {(one.layer, one.head) for one in heads}
            form = atlas_form(places, screen, named=True, room=None if room is None else room - KEY_LINES)
        values, scale = self.values()
        written: dict[tuple[int, int], Written] = {}
        if self._pictures_roles:
            dot = "·" if screen.unicode else "."
            for one in heads:
                role = self._pictured(one)
                written[one.layer, one.head] = Written(dot, dot) if role is None else Written(role.short, role.letter)
        scored = self._scored
        if self.found.by == "distance" or (scored and self.found.by != "role"):
            written = written_scores(values)
        fits = len(self.found.by) <= len("distance")
        return atlas(
            values,
            screen,
            name=self.found.by if fits else "",
            title="" if fits else self.found.by.replace("-", " "),
            scale=scale,
            places=3 if scored and self.found.by != "role" else 2,
            written=written,
            colored="score" if self._pictures_roles else "",
            caption="" if form is None else self._key(form),
            form=form,
            room=room,
        )

    def _key(self, form: Form) -> str:
        """Explain the short names in the picture's cells; where it has none, count the heads of each role."""
        roles = [self._pictured(one) for one in self.found.heads]
        seen = {role.name: role for role in roles if role is not None}
        if not seen:
            return "No head has a role here."
        if form == "mosaic":
            counts = Counter(role.name for role in roles if role is not None).most_common()
            told = ", ".join(f"{count:,} {name}" for name, count in counts)
            return f"score: of a head in its role. Heads with a role: {told}; without one: {roles.count(None):,}."
        wide = form == "numbers"
        short = [
            f"{role.short if wide else role.letter} {role.name}"
            for role in seen.values()
            if not wide or role.short != role.name
        ]
        return "; ".join(short)

    def _table(self, heads: Sequence[HeadFigures], screen: Screen) -> RenderableType:
        shown = [self._shown(one) for one in heads]
        columns = [names("head", [name_head(one.layer, one.head) for one in heads], screen, right=True)]
        columns.append(_roles(shown, screen))
        named = any(score is not None and score.origin != "measured" for score in shown)
        if named:
            columns.append(_origins(shown, screen))
        columns.append(figures("score", [None if score is None else score.score for score in shown]))
        columns.append(figures("baseline", [None if score is None else score.baseline for score in shown], faint=0.0))
        if self._role is None and any(one.roles[1:] for one in heads):
            columns.append(_others(heads, screen))
        columns.append(replace(bars("focus", [one.summary.focus for one in heads], screen), rank=1))
        probed = any(one.control is not None for one in heads)
        for name, values, rank, faint, note in (
            ("distance", [one.summary.distance for one in heads], 5 if probed else 2, 0.0, ""),
            ("first", [one.summary.first for one in heads], 3, 0.05, FIRST if probed else ""),
            ("repeats", [one.control for one in heads], 3, 0.05, REPEATS),
        ):
            if any(value is not None for value in values):
                columns.append(figures(name, values, rank=rank, faint=faint, note=note))
        if self._role != "offset" and any(one.score("offset") for one in heads):
            columns.append(_offsets(heads, screen))
        return table(columns, screen, order=self.found.by, caption=self._caption(len(heads), named=named))

    def _caption(self, count: int, *, named: bool) -> str:
        """Explain the scores and the origin of roles, and say which heads are not shown."""
        scores = self.found.record.selection.scores
        said = []
        origin = ORIGIN
        roles = {score.role.name: score.role for one in self.found.heads if (score := self._shown(one)) is not None}
        if self._role is not None and not roles:
            said.append(f"Nothing here shows the role {self._role}; attn terms {self._role!r} says what would.")
        elif self._role is not None:
            (role,) = roles.values()
            if not role.formula:
                return f"{role.name}: {role.looks_at}. It is not measured: the model names such heads. {ORIGIN}"
            fewest = max(score.fewest for one in self.found.heads if (score := self._shown(one)) is not None)
            least = f"from {role.threshold:g} up, " if role.threshold else ""
            said += [SCORED] if scores and role.of_scores else []
            said.append(
                f"{role.name}: {role.looks_at}. score: {role.formula}. baseline: {role.baseline}. The role is given "
                f"{least}above its baseline and over {fewest} rows or more; in brackets, it is not given."
            )
        elif roles and scores:
            said += [SCORED_ROLES, "The role in brackets is the nearest."]
        elif roles and named:
            said.append("The role in brackets is the nearest.")
            origin = f"origin: measured if {REACHED}, {NAMED}"
        elif roles:
            said.append(f"A head has a role if {REACHED}; the role in brackets is the nearest.")
        said += [origin] if named else []
        said += [OF_WEIGHTS] if scores else []
        total = len(self.found.heads)
        if count < total:
            how = f", highest {self.found.by} first"
            if self.found.by == "role":
                standings = Counter(map(_standing, self.found.heads))
                how = (
                    f": {standings[WITH_ROLE]:,} have a role, {standings[SINK]:,} only that of looking at the first "
                    f"token, {standings[NO_ROLE]:,} none"
                )
            said.append(f"{count} of {total:,} heads{how}; --all shows every head.")
        return " ".join(said)

    def _relations(self, screen: Screen) -> list[RenderableType]:
        """Draw the best head for each relation, both ways."""
        if not self.found.relations:
            return []
        found = best(self.found.relations)
        relations = list(dict.fromkeys(relation for relation, _ in found))
        counts = [float(max(found[one, way].count for way in WAYS if (one, way) in found)) for one in relations]
        columns = [
            names("relation", relations, screen),
            figures("count", counts, form=".0f", faint=0.0),
        ]
        for way in WAYS:
            scores = [found.get((one, way)) for one in relations]
            columns.append(
                _finders(_plain("word → head" if way == "to head" else "head → word", screen), scores, screen)
            )
            columns.append(figures("right", [None if score is None else score.accuracy for score in scores], faint=0.0))
        bases = [next(found[one, way] for way in WAYS if (one, way) in found) for one in relations]
        columns.append(figures("offset", [score.baseline for score in bases], faint=0.0))
        columns.append(Column("", [[(f"({signed(score.offset)})", DIM)] for score in bases], right=False, rank=1))
        return [table(columns, screen, caption=self._about_relations())]

    def _needles(self, screen: Screen) -> list[RenderableType]:
        """Draw what the model writes of each needle, and how many it finds without some heads."""
        needles = self.found.needles
        if needles is None:
            return []
        trials = needles.trials
        columns = [
            Column("needle", [[(one.needle.copied, PLAIN)] for one in trials], right=False),
            figures("depth", [one.depth for one in trials], faint=0.0),
            figures("tokens", [float(one.tokens) for one in trials], form=".0f", faint=0.0, rank=1),
            figures("written", [float(one.written) for one in trials], form=".0f"),
        ]
        about = (
            "needle: what is to be copied of a made-up fact. depth: where the fact stands in a text of "
            f"{needles.sentences} sentences, from 0 to 1. written: tokens of it that the model writes until it first "
            f"writes another. It finds {needles.found} of {len(trials)}."
        )
        drawn: list[RenderableType] = [table(columns, screen, caption=about)]
        if needles.cut is not None:
            shares = [found / len(trials) for _, found in needles.runs]
            drawn.append(
                table(
                    [
                        Column("run", [[(name, PLAIN)] for name, _ in needles.runs], right=False),
                        bars("found", shares, screen),
                    ],
                    screen,
                    caption=self._about_cuts(needles),
                )
            )
        return drawn

    def _about_cuts(self, needles: Needles) -> str:
        cut = "Share of needles found while the output of these heads is zero."
        if needles.random_share is None:
            return cut
        shares = [one.found / len(needles.trials) for one in needles.random]
        mean = needles.random_share
        return f"{cut} Random heads: {mean:.2f} on average, from {min(shares):.2f} to {max(shares):.2f}."

    def _about_relations(self) -> str:
        return (
            "The head that is right most often for each relation: of all other words, the word gives most weight to "
            "its grammatical head, or is given most by it. offset: how often the best fixed offset is right. * beats "
            "it by three standard errors."
        )


def _standing(one: HeadFigures) -> int:
    """Rank a head by what its roles tell: one that looks at the first token alone comes after the others."""
    if not one.roles:
        return NO_ROLE
    return SINK if all(score.role.name == "first" for score in one.roles) else WITH_ROLE


def _roles(scores: Sequence[RoleScore | None], screen: Screen) -> Column:
    """Make a column of the role of each head, in brackets if the head does not have it."""
    dash = "–" if screen.unicode else "-"
    cells: list[list[Part]] = []
    for score in scores:
        if score is None:
            cells.append([(dash, DIM)])
        else:
            called = score.role.short if screen.width < NARROW and not score.detail else score.name
            name = _plain(called, screen)
            cells.append([(name, BOLD) if score.given else (f"({name})", DIM)])
    return Column("role", cells, right=False)


def _origins(scores: Sequence[RoleScore | None], screen: Screen) -> Column:
    """Make a column of where each role is known from."""
    dash = "–" if screen.unicode else "-"
    cells: list[list[Part]] = [
        [(dash, DIM)] if score is None or not score.given else [(score.origin, PLAIN)] for score in scores
    ]
    return Column("origin", cells, right=False, rank=1)


def _others(heads: Sequence[HeadFigures], screen: Screen) -> Column:
    """Make a column of the next two roles of each head after its first."""
    cells: list[list[Part]] = [
        [(", ".join(f"{_plain(score.name, screen)} {score.score:.2f}" for score in one.roles[1:3]), PLAIN)]
        for one in heads
    ]
    return Column("also", cells, right=False, rank=6)


def _offsets(heads: Sequence[HeadFigures], screen: Screen) -> Column:
    """Make a column of the most frequent offset of each head's strongest key, and its share of rows."""
    cells: list[list[Part]] = []
    for one in heads:
        score = one.score("offset")
        if score is None or not score.rows:
            cells.append([("–" if screen.unicode else "-", DIM)])
            continue
        cells.append([(f"{_plain(score.detail, screen):>3} {score.score:4.0%}", PLAIN if score.given else DIM)])
    return Column("offset", cells, right=False, rank=4)


def _finders(title: str, scores: Sequence[RelationScore | None], screen: Screen) -> Column:
    """Make a column of the best head for each relation, one way."""
    cells: list[list[Part]] = [
        [("–" if screen.unicode else "-", DIM)]
        if score is None
        else [
            (
                f"{name_head(score.layer, score.head)}{'*' if score.role.given else ' '}",
                BOLD if score.role.given else DIM,
            )
        ]
        for score in scores
    ]
    return Column(title, cells)


def _plain(text: str, screen: Screen) -> str:
    return text if screen.unicode else text.replace("→", ">").replace("←", "<")
