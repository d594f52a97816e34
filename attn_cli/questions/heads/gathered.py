"""All sums behind one answer of `attn heads`: over texts or a treebank, over a probe, and over needles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attn_cli.data.model import ModelInfo
from attn_cli.data.selection import Selection
from attn_cli.data.stream import Report
from attn_cli.data.sums import Sums, of_part, with_part
from attn_cli.errors import InputError
from attn_cli.io.parts import Material
from attn_cli.questions.heads.measure import CollectHeads, HeadsFound
from attn_cli.questions.heads.needles import known_texts
from attn_cli.questions.heads.probe import CollectProbe
from attn_cli.questions.heads.retrieval import NEEDLES, CollectNeedles
from attn_cli.questions.heads.treebank import CollectTrees

__all__ = ["Asked", "Gathered"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The request behind one answer: the heads to measure, and the texts to measure them on."""

    selection: Selection
    material: Material = "corpus"
    """The texts that are measured, beside those of a probe; `probe` if those are the only ones."""
    seed: int | None = None
    """Seed of the texts of a probe; None without one."""

    @property
    def measured(self) -> Selection:
        """The selection, whose units are tokens where the texts are made of them."""
        return replace(self.selection, unit="token") if self.material in {"probe", "needles"} else self.selection


class Gathered:
    """The collectors of all sums of one answer, over some or all of its texts.

    Args:
        asked: the heads and the texts to measure.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked, selection = asked, asked.selection
        self.texts: CollectHeads | CollectTrees | None = None
        if asked.material == "corpus":
            self.texts = CollectHeads(selection)
        elif asked.material == "treebank":
            self.texts = CollectTrees(selection)
        self.probe = None if asked.seed is None else CollectProbe(selection, asked.seed)
        self.needles = CollectNeedles(selection, known_texts()) if asked.material == "needles" else None

    @property
    def heads(self) -> CollectHeads | None:
        """The collector of the heads' figures over all texts but those of a probe beside others."""
        if isinstance(self.texts, CollectTrees):
            return self.texts.heads
        return self.texts if self.texts is not None or self.probe is None else self.probe.twice

    def named(self, corpus: str) -> str:
        """Return the name of the texts: that of the corpus, unless all of them are made."""
        if self.needles is not None:
            return NEEDLES
        return corpus if self.texts is not None or self.probe is None else self.probe.name

    def state(self) -> dict[str, np.ndarray]:
        """Return all sums so far as arrays, for `merge`; those of a probe and of needles have names of their own."""
        return {
            **({} if self.texts is None else self.texts.state()),
            **({} if self.probe is None else with_part("probe", self.probe.state())),
            **({} if self.needles is None else with_part("needles", self.needles.state())),
        }

    def merge(self, state: Sums) -> None:
        """Add the sums of another collector of the same figures, over other texts.

        Raises:
            ValueError: they are of other roles, or not of the heads that they name.
            KeyError: some sums are missing.
        """
        if self.texts is not None:
            self.texts.merge(state)
        if self.probe is not None:
            self.probe.merge(of_part("probe", state))
        if self.needles is not None:
            self.needles.merge(of_part("needles", state))

    def found(self, model: ModelInfo, report: Report, name: str, *, whole: bool = True) -> HeadsFound:
        """Return the result over the texts so far.

        Args:
            model: the model's name and shape, as they are measured.
            report: what the runs have reported.
            name: name of the texts.
            whole: true if they are all there are.

        Raises:
            InputError: a whole treebank has no relation that a head could find.
        """
        if self.needles is not None:
            return self.needles.found(model, report)
        if self.heads is not None:  # which have no kind of their own before the first text
            self.heads.kind = self.heads.kind or self.asked.selection.kind or next(iter(model.stacks))
        if self.texts is None:
            if self.probe is None:
                raise TypeError("nothing was asked for")
            return self.probe.found(model, report)
        found = self.texts.found(model, report, name)
        if whole and self.asked.material == "treebank" and not found.relations:
            raise InputError(f"{name} has no relation that a head could find", "Give a treebank of longer sentences")
        return found if self.probe is None else self.probe.added_to(found)
