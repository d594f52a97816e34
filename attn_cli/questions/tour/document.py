"""The document of `attn tour`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from attn_cli.io.document import begin
from attn_cli.io.structs import FOUND, Entry, FindingDocument, Notes, Number

if TYPE_CHECKING:
    from attn_cli.questions.tour.measure import Chapter, Figure, Tour

__all__ = ["DOCUMENT", "ChapterEntry", "FigureEntry", "TourDocument", "describe"]


class FigureEntry(Entry):
    """A number, or a text that a model wrote, in the words of a chapter."""

    name: str
    value: Annotated[Number | None, Meta(description="null for a text.")]
    text: Annotated[str | None, Meta(description="null for a number.")]
    unit: Annotated[str, Meta(description="Empty for a number without a unit; text for a text.")]


class ChapterEntry(Entry):
    """One chapter."""

    number: Annotated[int, Meta(ge=1)]
    name: str
    title: str
    about: Annotated[str, Meta(description="The words above the picture.")]
    found: Annotated[str, Meta(description="What the picture shows, worded by the figures.")]
    note: Annotated[str, Meta(description="Why it shows another sentence than the reader's; empty where it does not.")]
    figures: Sequence[FigureEntry]
    commands: Annotated[Sequence[str], Meta(description="The commands that made the picture.")]


class TourDocument(FindingDocument, kw_only=True):
    """The lesson on attention, as attn tour prints it."""

    finding: Annotated[Literal["tour"], FOUND]
    text: Annotated[str | None, Meta(description="The reader's own sentence; null for those of the lesson.")]
    notes: Notes
    chapters: Annotated[Sequence[ChapterEntry], Meta(min_length=1)]


DOCUMENT = TourDocument


def describe(tour: Tour) -> TourDocument:
    """Describe the chapters."""
    return TourDocument(
        **begin(),
        finding="tour",
        text=tour.text,
        notes=tour.notes,
        chapters=[_chapter(number, chapter) for number, chapter in tour.chapters.items()],
    )


def _chapter(number: int, chapter: Chapter) -> ChapterEntry:
    return ChapterEntry(
        number,
        chapter.name,
        chapter.title,
        chapter.about,
        chapter.found,
        chapter.note,
        [_figure(figure) for figure in chapter.figures],
        chapter.commands,
    )


def _figure(figure: Figure) -> FigureEntry:
    if isinstance(figure.value, str):
        return FigureEntry(figure.name, None, figure.value, figure.unit)
    return FigureEntry(figure.name, figure.value, None, figure.unit)
