"""Drawings as files: every cell in its place, every text a text, nothing fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Group
from rich.style import Style
from rich.text import Text

from attn_cli.data.selection import Selection
from attn_cli.draw.page import html_fragment, to_page, to_svg, to_text
from attn_cli.draw.screen import DARK, LIGHT, Screen
from attn_cli.questions.inspect.measure import look
from tests.samples import encoder_record

SCREEN = Screen(width=60)
HOSTILE = (
    "<script>alert(1)</script> </pre> &amp; ]]> \" ' http://a.b url(x) @import \x00\x07\x1b[31m\x1b]8;;x\x07\x85\ufffe"
)
SVG = "{http://www.w3.org/2000/svg}"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


class Tags(HTMLParser):
    """The content of an HTML text: tags with their attributes, and the text in `<pre>`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.text += data


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def svg(drawing: Text | Group, screen: Screen = SCREEN) -> ET.Element:
    return ET.fromstring(to_svg(drawing, screen, HOSTILE))  # noqa: S314 (our own)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("selection", [Selection(), Selection(view="grid"), Selection(head="1.2")])
def test_nothing_is_fetched(selection: Selection, theme: str) -> None:
    screen = Screen(width=80, theme="dark" if theme == "dark" else "light")
    drawing = look(encoder_record(), selection, keep=False).draw(screen)
    for page in (to_page(drawing, screen), to_svg(drawing, screen), html_fragment(drawing, screen)):
        rest = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|url\(|@import|src=|href=|<script|<link|<img|javascript:|\bon\w+=", rest)
        assert (DARK if theme == "dark" else LIGHT).background_color.hex in page


@given(ANY_TEXT)
def test_any_text_is_text(text: str) -> None:
    drawing = Text(HOSTILE + text)
    expected = lines(to_text(drawing, SCREEN))
    page = Tags(to_page(drawing, SCREEN, text))
    assert {tag for tag, _ in page.tags} <= {"html", "head", "meta", "title", "style", "body", "pre", "span"}
    fragment = Tags(html_fragment(drawing, SCREEN))
    assert {tag for tag, _ in fragment.tags} <= {"pre", "span"}
    assert {name for _, attributes in fragment.tags for name in attributes} == {"style"}
    assert lines(page.text) == lines(fragment.text) == expected
    assert page.open == fragment.open == []


@given(ANY_TEXT)
def test_any_text_makes_a_picture(text: str) -> None:
    root = ET.fromstring(to_svg(Text(HOSTILE + text), SCREEN, text))  # noqa: S314 (our own)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "title", "rect", "g", "text"}
    allowed = (
        "viewBox width height role fill transform shape-rendering font-family font-size x y textLength lengthAdjust"
    )
    assert {name for element in root.iter() for name in element.attrib} <= {*allowed.split(), "style"}


@given(ANY_TEXT)
def test_no_control_is_left(text: str) -> None:
    for written in (to_text, to_page, to_svg, html_fragment):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ufffe\uffff]", written(Text(HOSTILE + text), SCREEN))


def test_hostile_text_is_shown() -> None:
    shown = "<script>alert(1)</script> </pre> &amp; ]]> \" ' http://a.b"
    assert shown in to_text(Text(HOSTILE, no_wrap=True), Screen(width=200))
    assert shown in Tags(to_page(Text(HOSTILE, no_wrap=True), Screen(width=200))).text
    words = [element.text for element in svg(Text(HOSTILE, no_wrap=True), Screen(width=200)).iter(f"{SVG}text")]
    assert words[:4] == ["<script>alert(1)</script>", "</pre>", "&amp;", "]]>"]


def test_text_is_what_a_terminal_shows() -> None:
    drawing = Group(Text("\n"), Text("a  b   "), Text("▀ █", style="red on blue"), Text(" 日本"), Text("\n"))
    assert to_text(drawing, SCREEN) == "a  b\n▀ █\n 日本\n"


@pytest.mark.parametrize(
    "text",
    ["ab cd", "日本 cd", "שלום cd", "e\u0301e\u0301 cd", "\N{FAMILY} cd", "á→b·c×d cd", "\u202eab\u202c cd", "ﷺ cd"],
)
def test_every_word_stands_in_its_column(text: str) -> None:
    last = list(svg(Text(text)).iter(f"{SVG}text"))[-1]
    assert last.text == "cd"
    assert int(last.attrib["x"]) == 10 * (cell_len(text) - 2)
    assert last.attrib["textLength"] == "20"
    # In HTML, letters that any font has stand on their own, and everything else is in a box.
    page = html_fragment(Text(text), SCREEN)
    boxes = sum(int(width) for width in re.findall(r"width: (\d+)ch", page))
    plain = re.sub(r"<span[^>]*>[^<]*</span>|</?pre[^>]*>", "", page).strip("\n")
    assert boxes + len(plain) == cell_len(text)
    assert plain.isascii() or "·" in plain


INK, GROUND = (200, 100, 0), (0, 100, 200)
PAINTED = Style(color="#c86400", bgcolor="#0064c8")


@pytest.mark.parametrize(
    ("character", "boxes", "fill", "background"),
    [
        ("▀▀", [(30, 20, 20, 10)], "#c86400", "0ch 0px / 100% 8px"),
        ("▄▄", [(30, 30, 20, 10)], "#c86400", "0ch 8px / 100% 8px"),
        ("██", [(30, 20, 20, 20)], "#c86400", "0ch 0px / 100% 16px"),
        ("▁▁", [(30, 37.5, 20, 2.5)], "#c86400", "0ch 14px / 100% 2px"),
        ("▇▇", [(30, 22.5, 20, 17.5)], "#c86400", "0ch 2px / 100% 14px"),
        ("▌▌", [(30, 20, 5, 20), (40, 20, 5, 20)], "#c86400", "0ch 0px / 0.5ch 16px"),
        ("▏▏", [(30, 20, 1.25, 20), (40, 20, 1.25, 20)], "#c86400", "0ch 0px / 0.125ch 16px"),
        ("▉▉", [(30, 20, 8.75, 20), (40, 20, 8.75, 20)], "#c86400", "0ch 0px / 0.875ch 16px"),
        ("▐▐", [(35, 20, 5, 20), (45, 20, 5, 20)], "#c86400", "0.5ch 0px / 0.5ch 16px"),
        ("━━", [(30, 28.75, 20, 2.5)], "#c86400", "0ch 7px / 100% 2px"),
        ("╸╸", [(30, 28.75, 5, 2.5), (40, 28.75, 5, 2.5)], "#c86400", "0ch 7px / 0.5ch 2px"),
        ("╺╺", [(35, 28.75, 5, 2.5), (45, 28.75, 5, 2.5)], "#c86400", "0.5ch 7px / 0.5ch 2px"),
        ("░░", [(30, 20, 20, 20)], "#326496", "0ch 0px / 100% 16px"),
        ("▒▒", [(30, 20, 20, 20)], "#646464", "0ch 0px / 100% 16px"),
        ("▓▓", [(30, 20, 20, 20)], "#966432", "0ch 0px / 100% 16px"),
    ],
)
def test_blocks_are_painted(
    character: str, boxes: list[tuple[float, float, float, float]], fill: str, background: str
) -> None:
    drawing = Text.assemble("\nab ", (character, PAINTED))
    root = svg(drawing)
    found = [
        tuple(float(rectangle.attrib[name]) for name in ("x", "y", "width", "height"))
        for rectangle in root.iter(f"{SVG}rect")
        if rectangle.attrib["fill"] == fill
    ]
    assert found == boxes
    grounds = [rectangle for rectangle in root.iter(f"{SVG}rect") if rectangle.attrib["fill"] == "#0064c8"]
    assert sum(float(ground.attrib["width"]) for ground in grounds) == 20
    assert [element.text for element in root.iter(f"{SVG}text")] == ["ab"]
    page = html_fragment(drawing, SCREEN)
    painted = f"background: #0064c8 linear-gradient({fill}, {fill}) {background} no-repeat"
    assert page.count(painted) == len(boxes)
    assert lines(Tags(page).text) == [f"ab {character}"]


@pytest.mark.parametrize(
    ("style", "ink", "ground", "css"),
    [
        ("#c86400", "#c86400", None, ""),
        ("#c86400 on #0064c8", "#c86400", "#0064c8", ""),
        ("#c86400 on #0064c8 reverse", "#0064c8", "#c86400", ""),
        ("reverse", DARK.background_color.hex, DARK.foreground_color.hex, ""),
        ("#c86400 on #0064c8 dim", "#646464", "#0064c8", ""),
        (
            "bold italic underline",
            DARK.foreground_color.hex,
            None,
            "font-weight: bold; font-style: italic; text-decoration: underline",
        ),
        ("strike", DARK.foreground_color.hex, None, "text-decoration: line-through"),
    ],
)
def test_styles(style: str, ink: str, ground: str | None, css: str) -> None:
    drawing = Text("abc", style=style)
    root = svg(drawing)
    (word,) = root.iter(f"{SVG}text")
    assert word.attrib["fill"] == ink
    assert word.attrib.get("style", "") == css
    _, *rectangles = root.iter(f"{SVG}rect")
    assert [rectangle.attrib["fill"] for rectangle in rectangles] == ([] if ground is None else [ground])
    (_, (_, span)) = Tags(html_fragment(drawing, SCREEN)).tags
    found = dict(part.split(": ") for part in (span["style"] or "").split("; "))
    assert found.get("color", DARK.foreground_color.hex) == ink
    assert found.get("background") == ground
    assert not css or css in (span["style"] or "")


def test_a_page_says_each_look_once() -> None:
    parts: list[tuple[str, str | Style]] = [("x", PAINTED), (" ", ""), ("y", "bold")]
    drawing = Text.assemble(*parts * 20)
    page = to_page(drawing, SCREEN)
    assert page.count("#c86400") == 1
    assert page.count("font-weight: bold") == 1
    assert [attributes["class"] for tag, attributes in Tags(page).tags if tag == "span"] == ["l0", "l1"] * 20


def test_pictures_are_as_long_as_the_drawing() -> None:
    root = svg(Text("a\nb\n\n \n"))
    assert root.attrib["viewBox"] == "0 0 640 80"
    assert html_fragment(Text("\na\nb\n\n \n"), SCREEN).split("\n")[1:] == ["a", "b", "</pre>", ""]
