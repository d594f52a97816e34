from __future__ import annotations

import io

import pytest

from attn_cli.draw.heatmap import heatmap
from attn_cli.draw.map_view import MapView
from attn_cli.draw.screen import Screen, probe, to_text
from attn_cli.errors import UsageError
from tests.drawings import LABELS, weights


class Stdout(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, *, terminal: bool = True, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


XTERM = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "97", "LINES": "31"}


def test_a_terminal() -> None:
    assert probe(Stdout(), XTERM) == Screen(width=97, height=31, color=True, unicode=True, theme="dark")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb", "COLORTERM": ""}, False),
        ({"TERM": "linux", "COLORTERM": ""}, False),
        ({"TERM": "xterm-256color", "COLORTERM": ""}, True),
    ],
)
def test_color(environ: dict[str, str], expected: bool) -> None:
    assert probe(Stdout(), XTERM | environ).color is expected


def test_256_colors() -> None:
    assert probe(Stdout(), XTERM | {"COLORTERM": ""}).depth == "256"


def test_color_can_be_asked_for() -> None:
    assert probe(Stdout(terminal=False), XTERM, color=True).color
    assert not probe(Stdout(), XTERM, color=False).color
    assert probe(Stdout(terminal=False), XTERM | {"FORCE_COLOR": "1"}).color


def test_a_pipe_has_neither_color_nor_end() -> None:
    screen = probe(Stdout(terminal=False), XTERM)
    assert (screen.color, screen.height) == (False, None)


@pytest.mark.parametrize(
    ("colorfgbg", "expected"),
    [
        ("15;0", "dark"),
        ("0;15", "light"),
        ("0;default;7", "light"),
        ("12;8", "dark"),
        ("default;default", "dark"),
        ("", "dark"),
    ],
)
def test_ground(colorfgbg: str, expected: str) -> None:
    assert probe(Stdout(), XTERM | {"COLORFGBG": colorfgbg}).theme == expected
    assert probe(Stdout(), XTERM | {"COLORFGBG": colorfgbg}, theme="light").theme == "light"


def test_the_theme_is_named_once_for_all() -> None:
    light = XTERM | {"ATTN_THEME": "light", "COLORFGBG": "15;0"}
    assert probe(Stdout(), light).theme == "light"
    assert probe(Stdout(), light, theme="dark").theme == "dark"
    assert probe(Stdout(), XTERM | {"ATTN_THEME": "auto", "COLORFGBG": "0;15"}).theme == "light"
    with pytest.raises(UsageError, match="ATTN_THEME must be dark or light, not"):
        probe(Stdout(), XTERM | {"ATTN_THEME": "solarized"})


def test_the_terminal_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.draw.screen.is_light", lambda stdin, _stdout, _environ: stdin is not None)
    assert probe(Stdout(), XTERM, stdin=Stdout()).theme == "light"
    assert probe(Stdout(), XTERM).theme == "dark"
    assert probe(Stdout(), XTERM | {"COLORFGBG": "15;0"}, stdin=Stdout()).theme == "dark"
    assert probe(Stdout(), XTERM | {"NO_COLOR": "1"}, stdin=Stdout()).theme == "dark"
    assert probe(Stdout(terminal=False), XTERM, color=True, stdin=Stdout()).theme == "dark"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "shift_jis"])
def test_encodings_without_block_characters(encoding: str) -> None:
    assert not probe(Stdout(encoding=encoding), XTERM).unicode


def test_widths_have_a_floor() -> None:
    assert probe(Stdout(), XTERM | {"COLUMNS": "7"}).width == 40
    with pytest.raises(ValueError, match="at least 40 columns, not 39"):
        Screen(width=39)


def test_plain_text_has_no_escapes() -> None:
    drawing = heatmap(MapView(weights(0, 1), LABELS, LABELS), Screen(color=False), title="Head")
    assert "\x1b" not in to_text(drawing, Screen(color=False))
    assert "\x1b[" in to_text(drawing, Screen(color=True))
