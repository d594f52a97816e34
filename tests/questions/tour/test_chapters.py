"""The chapters of the tour: every figure against the command that shows it, and against sums by hand."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import sacrebleu

import attn_cli
from attn_cli.cli.app import main
from attn_cli.draw.screen import Screen
from attn_cli.questions.terms.glossary import TERMS
from attn_cli.questions.tour.chapters import CHAPTERS, Chapters
from attn_cli.questions.tour.measure import Chapter, SideBySide, Tour
from attn_cli.questions.tour.wording import WORDS
from attn_cli.questions.why import aligning, linking, reading, translating
from attn_cli.questions.why.measure import Experiment
from tests.drawings import longest, shown
from tests.golden_files import assert_golden
from tests.records import validated

pytestmark = pytest.mark.unchecked
PLAIN = Screen(width=80, color=False)
TIMED = 7
"""The chapter with times, which differ from run to run."""
SAY = r"""attn() { printf '%s\0' "$@"; printf '\n\0'; }
"""
"""A shell's function that writes what a command was given, instead of running it."""
ODD = """He said "no", paid $5 `now` \\ and left!"""


@pytest.fixture(scope="module", autouse=True)
def few_texts() -> Iterator[None]:
    """Let the experiments take a moment, in the chapter and in the command."""
    with pytest.MonkeyPatch.context() as patch:
        for module, size in ((translating, 1), (linking, 2), (aligning, 1)):
            patch.setattr(module, "QUICK", size)
        patch.setattr(reading, "QUICK", ((8, 256), 1))
        yield


@cache
def whole() -> Tour:
    return attn_cli.tour()


@pytest.fixture
def tour() -> Tour:
    """The tour, made once; not in a fixture of the module, in which shapes are checked."""
    return whole()


def figures(chapter: Chapter) -> dict[tuple[str, str], float | str]:
    return {(figure.name, figure.unit): figure.value for figure in chapter.figures}


def value(chapter: Chapter, name: str) -> float:
    """The only number of this name."""
    (found,) = (figure.value for figure in chapter.figures if figure.name == name)
    assert isinstance(found, float)
    return found


def given(script: str) -> list[list[str]]:
    """Return the arguments that a shell gives to attn, for each command of a script."""
    said = subprocess.run(["sh", "-c", SAY + script], capture_output=True, check=True).stdout.decode()
    commands: list[list[str]] = [[]]
    for word in said.split("\0")[:-1]:
        if word == "\n":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands[:-1]


def answered(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, Any]:
    """The document of the only command of a line."""
    ((arguments),) = (given(command),)
    assert main([*arguments[0], "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_commands_make_the_picture(number: int, tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[number]
    alone = Tour({number: chapter}, len(CHAPTERS))
    picture = "\n".join(shown(alone.draw(PLAIN), PLAIN))
    assert chapter.commands
    for command in chapter.commands:
        for arguments in given(command):
            if arguments[1] == "parallelization":
                continue
            texts = "--text-only" in arguments
            width = [] if "--width" in arguments else ["--width", "80"]
            assert main([*arguments, *([] if texts else [*width, "--no-color"])]) == 0
            printed = capsys.readouterr().out
            if not texts:
                assert printed in picture + "\n"
            else:
                model = arguments[arguments.index("--model") + 1]
                assert printed.strip() in {
                    pair.translations[model] for pair in chapter.pictures if isinstance(pair, SideBySide)
                }


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_command_is_copied_as_it_is_drawn(width: int) -> None:
    """A shell puts together again a command that a narrow screen breaks into lines."""
    answer = Chapters(ODD).tour(1)
    (chapter,) = answer.chapters.values()
    screen = Screen(width=width, color=False)
    lines = shown(answer.draw(screen), screen)
    drawn = "\n".join(lines[lines.index("These pictures are made by") + 1 :])
    assert given(drawn) == [arguments for command in chapter.commands for arguments in given(command)]
    assert [arguments[1] for arguments in given(drawn)][:4] == [ODD] * 4
    assert longest(lines) <= width


def test_one_vector_is_judged_by_what_comes_through_it(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[1]
    short, long = (pair for pair in chapter.pictures if isinstance(pair, SideBySide))
    document = answered(capsys, chapter.commands[0])
    assert value(chapter, "numbers in the vector") == len(document["vector"]) == document["model"]["bottleneck"]
    known = dict(translating.texts())
    assert long.reference == known[long.text]
    scores = {}
    for model, made in long.translations.items():
        scores[model] = sacrebleu.corpus_chrf([made], [[known[long.text]]]).score
        assert figures(chapter)[f"text 2 by {model}", "chrF"] == pytest.approx(scores[model])
        assert figures(chapter)[f"text 2 by {model}", "text"] == made
        assert f"{scores[model]:.0f}" in chapter.found
    narrow = scores.pop("toy-rnn")
    assert ("too narrow" in chapter.found) == (narrow < min(scores.values()))
    assert figures(chapter)["words of text 1", "words"] == len(short.text.split())


def test_a_look_back_is_a_row_of_the_map(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[2]
    record: Any = answered(capsys, chapter.commands[0])
    words = [token["piece"].strip("▁") for token in record["target"]["tokens"]]
    keys = [token["piece"].strip("▁") for token in record["source"]["tokens"]]
    (map_,) = record["maps"]
    row = map_["weights"][words.index("chat") - 1]  # output rows: query i writes token i + 1
    assert value(chapter, f"weight chat → {keys[row.index(max(row))]}") == pytest.approx(max(row))
    rows = map_["weights"][:-1]  # the last writes the end
    assert value(chapter, "rows") == len(rows)
    assert value(chapter, "rows in which one word has more than half") == sum(max(row) > 0.5 for row in rows)


def test_the_softmax_by_hand(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[3]
    document = answered(capsys, chapter.commands[0])
    scores = {key["text"]: key["score"] for key in document["keys"]}
    largest = max(scores.values())
    total = sum(math.exp(score - largest) for score in scores.values())
    assert value(chapter, "sum of the exponentials") == pytest.approx(total)
    assert value(chapter, "sum of the weights") == pytest.approx(1)
    for word in sorted(scores, key=lambda word: -scores[word])[:2]:
        weight = math.exp(scores[word] - largest) / total
        assert value(chapter, f"score of {word}") == pytest.approx(scores[word])
        assert value(chapter, f"exp(score - largest) of {word}") == pytest.approx(math.exp(scores[word] - largest))
        assert value(chapter, f"weight of {word}") == pytest.approx(weight)
        assert f"divided by {total:.3f}: weight {weight:.3f}" in chapter.found


def test_the_pronoun_is_where_find_says(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[4]
    ((command, big, small, *options),) = given(chapter.commands[0])
    head = options[options.index("--head") + 1]
    assert (command, small) == ("diff", big.replace("big", "small"))
    found = []
    for sentence, word in ((big, "big"), (small, "small")):
        weights = {}
        for noun in ("trophy", "suitcase"):
            assert main(["find", sentence, "it", noun, "--head", head, "--model", "toy", "--json"]) == 0
            (link,) = json.loads(capsys.readouterr().out)["links"]
            weights[noun] = link["weight"]
        best = max(weights, key=lambda noun: weights[noun])
        found.append(best)
        assert value(chapter, f"weight it → {best} with {word}") == pytest.approx(weights[best], abs=1e-6)
    assert ("turned it to another" in chapter.found) == (found[0] != found[1])


def test_the_heads_are_those_that_the_commands_find(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[5]
    heads, cut = (answered(capsys, command) for command in chapter.commands)
    given_roles = [
        (f"{head['layer']}.{head['head']}", score["role"], score["score"], score["baseline"])
        for head in heads["heads"]
        for score in head["scores"]
        if score["given"]
    ]
    told = {figure.name for figure in chapter.figures}
    for name, role, score, baseline in given_roles:
        if f"score of {name} as {role}" in told:
            assert value(chapter, f"score of {name} as {role}") == pytest.approx(score)
            assert value(chapter, f"baseline of {name} as {role}") == pytest.approx(baseline)
    assert value(chapter, "heads with a role") == len({name for name, *_ in given_roles})
    (trial,) = cut["trials"]
    assert value(chapter, "effect on the translation") == pytest.approx(trial["effect"])
    changed = trial["text"] != cut["target"]["text"]
    assert ("is another" in chapter.found) == changed


def test_the_heatmap_is_read_as_it_is(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[6]
    record = answered(capsys, chapter.commands[0])
    written = record["units"]["rows"].startswith("output")
    role = "writing" if written else "reading"
    (head,) = (one for one in record["model"]["guided"] if one["role"] == role)
    words, keys = ([token["piece"].strip("▁") for token in record[side]["tokens"]] for side in ("target", "source"))
    (rows,) = (
        map_["weights"] for map_ in record["maps"] if (map_["layer"], map_["head"]) == (head["layer"], head["head"])
    )
    row = rows[words.index("noir") - written]
    best = keys[row.index(max(row))]
    assert value(chapter, f"weight noir → {best}") == pytest.approx(max(row))
    assert f"“noir”, the mark is below “{best}”" in chapter.found


def _experiment(chapter: Chapter) -> Experiment:
    """The experiment with times."""
    found = chapter.pictures[-1]
    assert isinstance(found, Experiment)
    return found


def test_the_claims_are_those_of_the_experiments(tour: Tour, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = tour.chapters[7]
    borne_out = 0
    for command in chapter.commands:
        document = answered(capsys, command)
        timed = document["name"] == "parallelization"
        for measure in document["measures"]:
            for series in measure["series"]:
                if series["points"] and not (timed and measure["unit"]):
                    last = series["points"][-1]["value"]
                    assert value(chapter, f"{measure['name']}: {series['model']}") == pytest.approx(last)
        borne_out += _experiment(chapter).borne_out if timed else bool(document["borne_out"])
    assert value(chapter, "claims borne out") == borne_out
    assert chapter.found.startswith(f"{borne_out} of the 4 claims")


def test_the_words_are_in_the_glossary(tour: Tour) -> None:
    assert value(tour.chapters[8], "terms in all") == len(TERMS)
    assert value(tour.chapters[8], "terms shown") == len(WORDS)


def test_the_document(tour: Tour) -> None:
    document = validated(tour.data(), "tour")
    assert [chapter["number"] for chapter in document["chapters"]] == list(CHAPTERS)
    assert all(chapter["figures"] and chapter["commands"] and not chapter["note"] for chapter in document["chapters"])
    assert len(list(tour.rows())) == sum(len(chapter["figures"]) for chapter in document["chapters"])


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_it_keeps_to_the_screen(width: int, tour: Tour) -> None:
    for screen in (Screen(width=width), Screen(width=width, height=24, color=False, unicode=False)):
        lines = shown(tour.draw(screen), screen)
        assert longest(lines) <= width
        assert screen.unicode or "".join(lines).isascii()
        assert screen.unicode or not any("?" in line for line in lines if line.startswith(("Rows are", "word. ")))


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("number", [number for number in CHAPTERS if number != TIMED])
def test_screens(number: int, width: int, tour: Tour) -> None:
    screen = Screen(width=width, color=False)
    alone = Tour({number: tour.chapters[number]}, len(CHAPTERS))
    assert_golden(f"tour-{number}-{width}", "\n".join(shown(alone.draw(screen), screen)) + "\n")
