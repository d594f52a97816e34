"""The document of `attn terms`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from attn_cli.io.document import begin
from attn_cli.io.structs import FOUND, Entry, FindingDocument

if TYPE_CHECKING:
    from attn_cli.questions.terms.glossary import Glossary

__all__ = ["DOCUMENT", "TermEntry", "TermsDocument", "describe"]


class TermEntry(Entry):
    """One term of the field."""

    name: str
    meaning: str
    formula: Annotated[str, Meta(description="Empty for what is not a number.")]
    shown: Annotated[str, Meta(description="Commands, columns and options.")]
    source: Annotated[str, Meta(description="Who defined it.")]
    also: Annotated[Sequence[str], Meta(description="Other names.")]
    group: Annotated[str, Meta(description="The terms that it stands with in the index.")] = ""


class TermsDocument(FindingDocument, kw_only=True):
    """The words of the field, as attn terms prints them."""

    finding: Annotated[Literal["terms"], FOUND]
    terms: Annotated[Sequence[TermEntry], Meta(min_length=1)]


DOCUMENT = TermsDocument


def describe(glossary: Glossary) -> TermsDocument:
    """Describe the terms."""
    return TermsDocument(
        **begin(),
        finding="terms",
        terms=[
            TermEntry(term.name, term.meaning, term.formula, term.shown, term.source, term.also, term.group)
            for term in glossary.terms
        ],
    )
