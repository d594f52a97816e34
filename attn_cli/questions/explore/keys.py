"""The keys of an explorer, in one table: the app binds them, and the help shows them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KEYS", "Key"]


@dataclass(frozen=True)
class Key:
    """The action of one or several keys."""

    keys: tuple[str, ...]
    """The keys, as a terminal sends them."""
    shown: str
    """The keys, as they are written."""
    action: str
    about: str


KEYS = (
    Key(("up", "k"), "↑ k", "step(-1, 0)", "up: the layer above, or in the map the query before"),
    Key(("down", "j"), "↓ j", "step(1, 0)", "down: the layer below, or the next query"),
    Key(("left", "h"), "← h", "step(0, -1)", "the head before, or in the map the key before"),
    Key(("right", "l"), "→ l", "step(0, 1)", "the next head, or the next key"),
    Key(("shift+up",), "shift ↑", "step(-1, 0, True)", "the same in the other pane"),
    Key(("shift+down",), "shift ↓", "step(1, 0, True)", ""),
    Key(("shift+left",), "shift ←", "step(0, -1, True)", ""),
    Key(("shift+right",), "shift →", "step(0, 1, True)", ""),
    Key(("pageup",), "page up", "leap(-1)", "a screenful up"),
    Key(("pagedown",), "page down", "leap(1)", "a screenful down"),
    Key(("home",), "home", "end(-1)", "the first layer, or the first query"),
    Key(("end",), "end", "end(1)", "the last layer, or the last query"),
    Key(("tab", "shift+tab"), "tab", "turn", "from the heads to the map, and back; of an image, first to its picture"),
    Key(("enter",), "enter", "strongest", "the strongest key of the row"),
    Key(("slash",), "/", "find", "find a word or a patch"),
    Key(("n",), "n", "again", "find it again"),
    Key(("m",), "m", "choose('measure')", "the measure: weights, scores, norms, …"),
    Key(("a",), "a", "choose('atlas')", "what the atlas shows: focus, the effect of cutting, a role"),
    Key(("s",), "s", "choose('sort')", "the order of the heads"),
    Key(("K",), "K", "choose('kind')", "the kind of attention"),
    Key(("w",), "w", "units", "words or tokens of a text"),
    Key(("x",), "x", "cut", "cut the head, or in the map the edge: the output before, after"),
    Key(("e",), "e", "explain", "the three steps of the row: score, softmax, weighted sum"),
    Key(("d",), "d", "beside", "lay a second sentence or image beside this one, or take it away"),
    Key(("g",), "g", "grid", "all heads as small pictures"),
    Key(("i",), "i", "type", "type another sentence, or the name of an image, which is run at once"),
    Key(("less_than_sign",), "<", "text(-1)", "the text before, if there are several"),
    Key(("greater_than_sign",), ">", "text(1)", "the next text"),
    Key(("y",), "y", "command", "the command that shows the same; it is copied"),
    Key(("S",), "S", "save", "save what is seen, in the format of the name"),
    Key(("question_mark",), "?", "help", "this help"),
    Key(("q",), "q", "leave", "leave; Ctrl-C leaves from anywhere"),
)
