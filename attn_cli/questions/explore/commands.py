"""The commands that show what an explorer shows."""

from __future__ import annotations

from dataclasses import replace

from attn_cli.data.plan import name_head
from attn_cli.data.suggestion import Suggestion, typed_name
from attn_cli.questions.explore.scene import Scene
from attn_cli.questions.explore.spot import Spot
from attn_cli.questions.explore.subject import Subject

__all__ = ["asking", "of_all_heads", "of_changes", "of_map", "options_of"]


def of_map(subject: Subject, scene: Scene, spot: Spot) -> Suggestion:
    """Return the command that shows the map under the cursor, or of an image its row where that is walked in."""
    joint = scene.plan.selection.joint
    which = ["--layer", str(spot.layer)] if joint else ["--head", name_head(spot.layer, spot.head)]
    if scene.plan.keys.side.grid is not None:
        which += ["--map"] if spot.pane == "map" else ["--query", typed_name(scene.plan.queries, spot.query)]
    return asking(_showing(subject, scene, spot), subject, *which, *options_of(scene, spot))


def of_all_heads(subject: Subject, scene: Scene, spot: Spot) -> Suggestion:
    """Return the command that shows all heads as small pictures."""
    return asking(_showing(subject, scene, spot), subject, "--grid", *options_of(scene, spot))


def of_changes(subject: Subject, scene: Scene, spot: Spot, other: str) -> Suggestion:
    """Return the command that lays another text, or an image's file, beside one."""
    head = () if scene.plan.selection.joint else ("--head", name_head(spot.layer, spot.head))
    options = (*head, *options_of(scene, spot))
    if subject.is_image:
        return asking("diff", subject, "--image", other, *options)
    return replace(asking("diff", subject, *options), beside=other)


def asking(command: str, subject: Subject, *options: str) -> Suggestion:
    """Return a command about a text or an image, or about the file of a record."""
    if subject.model is None or subject.given is None:
        return Suggestion(command, subject.file, options)
    if subject.is_image:
        of_image = ("--image", subject.file, *options, *subject.loading)
        return Suggestion(command, None, of_image, subject.model.info.name)
    given, languages = subject.given, subject.given.languages
    target = given.target if isinstance(given.target, str) else None
    extra = {"--target": target, "--pair": given.pair, "--from": languages.source, "--to": languages.target}
    more = [word for option, value in extra.items() if value is not None for word in (option, value)]
    more += ["--truncate"] if given.truncate else []
    return Suggestion(command, given.text, (*options, *more, *subject.loading), subject.model.info.name)


def options_of(scene: Scene, spot: Spot, *, measure: bool = True) -> list[str]:
    """Return the options of the kind, the unit and the measure, where they are not the usual ones."""
    options = []
    if spot.kind != next(iter(scene.source.model.stacks)):
        options += ["--kind", spot.kind]
    if measure and spot.measure != "weights":
        options += ["--measure", spot.measure]
    if spot.unit == "token" and not (measure and spot.measure == "scores"):  # which are of tokens in any case
        options.append("--tokens")
    return options


def _showing(subject: Subject, scene: Scene, spot: Spot) -> str:
    """Return the command that shows a map: of a record, of a text, or of what a model writes for it."""
    if subject.record is not None:
        return "view"
    known = subject.given is not None and subject.given.target is not None
    translates = "cross" in scene.source.model.stacks
    return "inspect" if known or spot.kind == "encoder" or not translates else "translate"
