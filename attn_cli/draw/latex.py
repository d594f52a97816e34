r"""A small picture as a table of LaTeX, with a coloured cell for each value, in the paper's own font.

It needs no more than `colortbl` and `graphicx`, which are in every installation (`texlive-latex-base`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attn_cli.draw.colors import BLANK, PALETTES, Scale
from attn_cli.draw.figure_style import FigureStyle
from attn_cli.draw.labels import Labels, clean
from attn_cli.draw.picture import PaperPicture
from attn_cli.errors import UsageError

__all__ = ["to_latex"]

MOST_CELLS = 1_600
"""Most cells of a table: 40 × 40 fill a page."""
LONGEST_LEVEL = 4
"""Letters of a column's label that need no turning."""

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",  # two of them would be a dash
    "␣": r"\textvisiblespace{}",
    "▁": r"\_",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "−": r"\ensuremath{-}",
    "≥": r"\ensuremath{\geq}",
    "→": r"\ensuremath{\rightarrow}",
}
"""Character -> what LaTeX writes it as."""
IN_T1 = frozenset("«»‹›‚„ÐÞðþĄąĐđĘęĮįŊŋŲų")
"""Characters that pdfLaTeX knows in fonts of the encoding T1 alone."""
PDFLATEX = frozenset(map(chr, (*range(0xA1, 0x180), 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x20AC)))
PDFLATEX -= IN_T1 | frozenset("ĦħĸĿŀŉŦŧſ")
"""Other characters that it knows without a package, beside ASCII: Latin letters, dashes, quotation marks."""


def to_latex(picture: PaperPicture, style: FigureStyle, heading: str) -> str:
    """Write a picture as a table.

    Args:
        picture: the picture.
        style: its title and the size of its text, which alone are followed.
        heading: what it is, for a comment.

    Raises:
        UsageError: it has too many cells, or is a grid of maps.
    """
    if picture.tile != (1, 1) or picture.values.size > MOST_CELLS:
        many, instead = f"{picture.values.size:,} values", "Save it as .pdf"
        if picture.tile != (1, 1):
            many = "a grid of maps"
        if picture.tile != (1, 1) and picture.image is not None:
            many, instead = "a grid of pictures", "Save it as .pdf, or name one head with --head"
        raise UsageError(f"A .tex holds a table of at most {MOST_CELLS:,} values, and this is {many}", instead)
    size = style.font_size
    legend = _legend(picture.scale)
    levels, known = picture.scale.levels(picture.values), picture.scale.levels(np.array(legend)).tolist()
    columns = len(picture.columns)
    turned = any(len(clean(text)) > LONGEST_LEVEL for text in picture.columns.texts)
    row_name, column_name = map(escaped, picture.sides)
    lines = [
        *_comments(picture, style, heading),
        r"\begingroup",
        *_colors([*levels.ravel().tolist(), *known]),
        rf"\fontsize{{{size:g}}}{{{size * 1.2:g}}}\selectfont",
        r"\setlength{\tabcolsep}{1.5pt}\renewcommand{\arraystretch}{1.15}",
        *([rf"\textbf{{{escaped(style.title_line)}}}\par\smallskip"] if style.title_line else []),
        rf"\begin{{tabular}}{{r@{{\hskip 3pt}}*{{{max(columns, 1)}}}{{c}}}}",
        rf"{row_name} & \multicolumn{{{max(columns, 1)}}}{{c}}{{{column_name}}} \\",
        " & ".join(["", *(_label(*one, turned=turned) for one in _labels(picture.columns))]) + r" \\",
    ]
    for label, values, row in zip(_labels(picture.rows), picture.values, levels, strict=True):
        drawn = (_cell(float(value), int(level)) for value, level in zip(values, row, strict=True))
        lines.append(" & ".join([_label(*label), *drawn]) + r" \\")
    beside = () if picture.image is None else picture.image.beside
    cells = [_cell(value, level) for value, level in zip(legend, known, strict=True)]
    lines += [
        r"\end{tabular}",
        r"\par\smallskip",
        rf"\begin{{tabular}}{{r@{{\hskip 3pt}}*{{{len(cells)}}}{{c}}}}",
        " & ".join([escaped(picture.quantity), *cells]) + r" \\",
        r"\end{tabular}",
        *(rf"\par\smallskip {escaped(name)} {_number(value)}" for name, value in beside),
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Escape a text for LaTeX."""
    return "".join(ESCAPES.get(letter, letter) for letter in clean(text))


def _labels(labels: Labels) -> list[tuple[str, bool]]:
    return list(zip(labels.texts, labels.special, strict=True))


def _comments(picture: PaperPicture, style: FigureStyle, heading: str) -> list[str]:
    """Say what the table is and what it needs."""
    texts = (*picture.rows.texts, *picture.columns.texts, style.title_line)
    letters = {letter for text in texts for letter in clean(text)}
    encoding = r", and \usepackage[T1]{fontenc}" if letters & IN_T1 else ""
    lines = [f"% {clean(heading)}", rf"% In the preamble: \usepackage{{colortbl,graphicx}}{encoding}"]
    foreign = sorted({letter for letter in letters if not letter.isascii()} - PDFLATEX - IN_T1 - frozenset(ESCAPES))
    if foreign:
        lines.append(f"% pdfLaTeX does not know {''.join(foreign)}: run LuaLaTeX or XeLaTeX, with a font that does.")
    return lines


def _label(text: str, dimmed: bool, *, turned: bool = False) -> str:
    # In braces, since a row that begins with [ or * would be taken for an argument of the line before.
    shown = f"{{{escaped(text)}}}"
    shown = rf"\textcolor[gray]{{0.5}}{shown}" if dimmed else shown
    return rf"\rotatebox{{90}}{{{shown}}}" if turned else shown


def _cell(value: float, level: int) -> str:
    return "" if level == BLANK else rf"\attncell{{{level}}}{{{_number(value)}}}"


def _colors(levels: Iterable[int]) -> list[str]:
    """Define the colours of these levels, and the command that paints a cell with one."""
    palette = PALETTES["light", "truecolor"]
    lines = [r"\def\attncell#1#2{\cellcolor{attn#1}\textcolor{attnink#1}{#2}}"]
    for level in sorted(set(levels) - {BLANK}):
        lines.append(rf"\definecolor{{attn{level}}}{{rgb}}{{{_rgb(palette.cell(level))}}}")
        lines.append(rf"\definecolor{{attnink{level}}}{{rgb}}{{{_rgb(palette.number(level))}}}")
    return lines


def _number(value: float) -> str:
    """Write a value with two decimals, shares without the 0 before the point."""
    text = f"{value:z.2f}"
    if abs(value) < 1:
        text = text.replace("0.", ".", 1)
    return escaped(text.replace("-", "−"))


def _legend(scale: Scale) -> list[float]:
    """Return the values that explain the colours."""
    shares = (-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0) if scale.signed else (0.0, 0.1, 0.25, 0.5, 1.0)
    low = 0.0 if scale.signed else scale.low
    return [low + share * (scale.high - low) for share in shares]


def _rgb(color: str) -> str:
    return ",".join(f"{int(color[place : place + 2], 16) / 255:.3f}" for place in (1, 3, 5))
