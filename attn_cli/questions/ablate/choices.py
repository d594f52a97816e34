"""A user's choice of cuts and output, as it was typed. Imports nothing heavy, so that typing errors show at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attn_cli.data.selection import Selection
from attn_cli.errors import UsageError, quoted

__all__ = [
    "HEADS",
    "ITS_OWN",
    "By",
    "CutChoice",
    "DonorChoice",
    "Instead",
    "OutputChoice",
    "check_attribution",
    "check_of_image",
    "parse_edge",
]

By = Literal["heads", "layers"]
"""Parts of the model that are cut in turn."""
Instead = Literal["zero", "mean", "even", "resample"]
"""Replacement of a head's output: nothing, its mean over positions, the sum of an even row, or its output in another
text, position by position."""


@dataclass(frozen=True)
class OutputChoice:
    """A user's choice of output, beside the target."""

    output: Literal["words", "states"] | None = None
    """Words that the model chooses, or its last states; None for words if the model chooses any."""
    against: str | None = None
    """Another text for the first token of the target: the difference of their logits is measured."""
    mask: str | None = None
    """A word of the text to mask."""
    target_tokens: Literal["first", "all"] | None = None
    """The tokens of a target that has several; None to be told of them."""
    continues: bool = False
    """True if the target goes on from the text: a space is put between two words, and all of it is measured."""

    def check(self, target: str | None, *, in_lines: bool = False) -> None:
        """Check what does not depend on the model.

        Args:
            target: the target that is given with the text.
            in_lines: whether lines of a file may hold targets as well.

        Raises:
            UsageError: two choices exclude each other.
        """
        own = "--continue" if self.continues else "--target"
        if self.continues and self.target_tokens is not None:
            raise UsageError(
                "--continue measures all that follows, so --target-tokens cannot be used with it",
                "Leave one of them out",
            )
        texts = {own: target, "--against": self.against, "--mask": self.mask}
        for option, given in {**texts, "--target-tokens": self.target_tokens}.items():
            if self.output == "states" and given is not None:
                raise UsageError(f"{option} is about words, and --output states is not", "Leave one of them out")
        for option, text in texts.items():
            if text is not None and not text.strip():
                raise UsageError(f"{option} is empty", "Give a word")
        if self.against is not None and target is None and self.mask is None:
            raise UsageError("--against needs a word to hold against another", "Give it with --target")
        if self.against is not None and target == self.against:
            raise UsageError("--against is the same as --target", "Give another word")
        if self.target_tokens is not None and target is None and self.against is None and not in_lines:
            raise UsageError("--target-tokens is about --target, and there is none", "Give one, or leave it out")
        if target is not None and self.mask is not None:
            raise UsageError(
                "--mask measures the word that it hides, so --target cannot be used with it", "Leave one of them out"
            )


@dataclass(frozen=True)
class CutChoice:
    """A user's choice of cuts, apart from heads.

    Raises:
        UsageError: two choices exclude each other.
    """

    instead: Instead | None = None
    """The replacement of a head's output; None for nothing (zero)."""
    edges: tuple[str, ...] = ()
    """Edges as they were typed: `it:trophy`."""
    by: By | None = None
    """Cut each of the heads chosen in turn, whole or the edges in it, or the edges in each band of layers."""

    def check(self, selection: Selection) -> None:
        """Check what does not depend on the model.

        Raises:
            UsageError: two choices exclude each other, or an edge has another form.
        """
        for edge in self.edges:
            parse_edge(edge)
        if self.instead is not None and (self.edges or selection.query is not None):
            own = "--edge" if self.edges else "--query"
            raise UsageError(
                f"{own} cuts edges, whose weight goes to the other keys, so --with cannot be used with it",
                "Leave it out",
            )
        if self.edges and selection.query is not None:
            raise UsageError(
                "--query cuts each of its edges in turn, so --edge cannot be used with it", "Choose one of them"
            )
        if self.by is not None and selection.query is not None:
            raise UsageError(
                f"--query cuts each of its edges in turn, so --by {self.by} cannot be used with it",
                "Name one of them with --edge",
            )
        if self.by == "layers" and not self.edges:
            raise UsageError(
                "--by layers cuts an edge in each band of layers",
                "Name one, like --edge it:trophy, or choose --by heads",
            )
        if self.by == "layers" and selection.head is not None:
            raise UsageError(
                "--by layers cuts all heads of a layer, so --head cannot be used with it",
                "Leave one of them out, or choose --by heads",
            )

    def sweeps(self, selection: Selection) -> bool:
        """Return whether heads are cut whole and one after another."""
        if self.edges or selection.query is not None:
            return False
        return self.by == "heads" or (selection.layer is None and selection.head is None)


@dataclass(frozen=True)
class DonorChoice:
    """A user's choice of the texts that heads' outputs are taken from; none for the text's own positions."""

    text: str | None = None
    """Another text."""
    file: str | None = None
    """Name of a file or a list of texts."""
    probe: bool = False
    """The texts that `attn heads --probe` generates."""

    @property
    def options(self) -> list[str]:
        """The options that are given."""
        given = {"--from-text": self.text is not None, "--from-file": self.file is not None, "--from-probe": self.probe}
        return [option for option, is_given in given.items() if is_given]

    def check(self, instead: Instead | None) -> None:
        """Check what does not depend on the model.

        Raises:
            UsageError: two choices exclude each other, or one is lacking.
        """
        options = self.options
        if len(options) > 1:
            raise UsageError(f"{options[0]} and {options[1]} both name texts to take outputs from", "Give one of them")
        if options and instead not in {"mean", "resample"}:
            raise UsageError(
                f"{options[0]} names what stands in the place of a head's output, and --with does not ask for it",
                "Add --with mean or --with resample",
            )
        if instead == "resample" and options != ["--from-text"]:
            other = f", and {options[0]} names several" if options else ""
            raise UsageError(
                f"--with resample takes a head's output in one other text, position by position{other}",
                "Name the text with --from-text",
            )
        if self.text is not None and not self.text.strip():
            raise UsageError("--from-text is empty", "Give it a text")


ITS_OWN = OutputChoice()
"""The output that the model is made for."""
HEADS = CutChoice()
"""Heads, whose output is set to zero."""


def check_attribution(
    selection: Selection, output: OutputChoice, cut: CutChoice, donor: DonorChoice | None = None
) -> None:
    """Check the choices that are given with `--attribution`, as far as they do not depend on the model.

    Raises:
        UsageError: one of them is about other outputs, or about some heads or edges.
    """
    some = {
        "--kind": selection.kind,
        "--layer": selection.layer,
        "--head": selection.head,
        "--query": selection.query,
        "--edge": cut.edges or None,
        "--by": cut.by,
        "--rows": selection.rows,
    }
    for option, given in some.items():
        if given is not None:
            raise UsageError(
                f"--attribution takes the logit apart over all heads, so {option} cannot be used with it",
                "Leave one of them out",
            )
    given_texts = donor.options if donor is not None else []
    if cut.instead == "resample" or given_texts:
        raise UsageError(
            "--attribution holds what heads add beside the effects of cuts in the same text, so "
            f"{'--with resample' if cut.instead == 'resample' else given_texts[0]} cannot be used with it",
            "Leave one of them out",
        )
    others = {"--mask": output.mask, "--output states": output.output == "states" or None}
    for option, other in others.items():
        if other is not None:
            raise UsageError(
                f"--attribution is about the next token of a text, and {option} is not", "Leave one of them out"
            )
    if output.target_tokens == "all":
        raise UsageError(
            "--attribution takes the logit of one token apart, so --target-tokens must be first",
            "Write first, or leave it out",
        )


def check_of_image(output: OutputChoice, cut: CutChoice, donor: DonorChoice, *, attribution: bool = False) -> None:
    """Check that no choice is about words or other texts, as an image has last states alone.

    Raises:
        UsageError: one is.
    """
    about_texts = {
        "--continue": output.continues,
        "--output words": output.output == "words",
        "--against": output.against is not None,
        "--mask": output.mask is not None,
        "--target-tokens": output.target_tokens is not None,
        "--with resample": cut.instead == "resample",
        **dict.fromkeys(donor.options, True),
        "--attribution": attribution,
    }
    for option, given in about_texts.items():
        if given:
            raise UsageError(f"--image is not a text, so {option} cannot be used with it", f"Leave {option} out")


def parse_edge(edge: str) -> list[tuple[str, str]]:
    """Split what was typed for an edge at its colon; in more than one way if there are more.

    Raises:
        UsageError: there is no colon, or nothing beside it.
    """
    parts = edge.split(":")
    ways = [(":".join(parts[:place]).strip(), ":".join(parts[place:]).strip()) for place in range(1, len(parts))]
    ways = [way for way in ways if any(way)]
    if not ways:
        raise UsageError(
            f"--edge must be FROM:TO, and {quoted(edge)} is not",
            "Write it like --edge it:trophy, it: for all that it looks at, or :trophy for all that look at it",
        )
    return ways
