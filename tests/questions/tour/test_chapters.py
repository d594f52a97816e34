"""The chapters of the tour: every figure against the command that shows it, and against sums by hand."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import sacrebleu

import attn_cli
from attn_cli.cli.app import main
from attn_cli.draw.screen import Screen
from attn_cli.questions.explain.measure import Explained
from attn_cli.questions.terms.glossary import TERMS
from attn_cli.questions.tour import reading as heatmap
from attn_cli.questions.tour.chapters import CHAPTERS, Chapters
from attn_cli.questions.tour.linking import _Key, _moved
from attn_cli.questions.tour.many import LITTLE, tell_cut
from attn_cli.questions.tour.measure import Chapter, RowLink, SideBySide, Tour, strongest, told_key
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


def test_your_own_text_has_nothing_to_be_judged_by(tour: Tour) -> None:
    said = "Nobody has translated your text by hand"
    (yours,) = Chapters("The dog saw the house").tour(1).chapters.values()
    assert yours.found.startswith(said)
    assert said not in tour.chapters[1].found


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


def test_a_row_that_rests_on_the_end_is_not_counted_as_one_on_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    (chapter,) = Chapters("Good morning").tour(2).chapters.values()
    record: Any = answered(capsys, chapter.commands[0])
    (map_,) = record["maps"]
    pieces: dict[int, list[list[float]]] = {}  # of each word that is written; output rows: query i writes token i + 1
    for token, row in zip(record["target"]["tokens"][1:], map_["weights"], strict=True):
        if not token["special"]:
            pieces.setdefault(token["word"], []).append(row)
    rows = [np.mean(own, axis=0).tolist() for own in pieces.values()]
    assert [token["special"] for token in record["source"]["tokens"]] == [False, False, True]
    words = sum(max(row[:-1]) > 0.5 for row in rows)
    ended = sum(row[-1] > 0.5 for row in rows)
    assert ended
    assert value(chapter, "rows in which one word has more than half") == words
    assert value(chapter, "rows in which the end mark has more than half") == ended
    more = f"{ended} more {'rests' if ended == 1 else 'rest'} on the end mark </s>"
    assert chapter.found.endswith(f"In {words} of {len(rows)} rows, one word has more than half of it; {more}.")


def link(query: str, column: int, weight: float = 0.9, *, special: bool = False) -> RowLink:
    """The mark of a row, below the end mark if `special`."""
    return RowLink(0, column, query, "</s>" if special else "key", weight, ambiguous=False, special=special)


def test_a_link_to_a_word_is_told_of_before_one_to_the_end() -> None:
    word, end = link("de", 0, 0.4), link("bonjour", 3, 0.9, special=True)
    assert strongest([end, word]) is word
    assert strongest([end]) is end
    assert (word.told, end.told) == ("“key”", "the end mark </s>")


NEVER, SUGGESTS = "never go back to the left", "which suggests that the other language has its words in another order"


@pytest.mark.parametrize(
    ("columns", "known", "said"),
    [
        (
            (0, 1, 1, 2),
            True,
            f" From row to row the marks {NEVER}: the words come in the same order in both languages.",
        ),
        ((0, 1, 1, 2), False, f" From row to row the marks {NEVER}."),
        ((0, None, 1), False, f" From row to row the marks on words {NEVER}."),
        ((0, 2, 1, 0), True, " In 2 rows the mark is further to the left than in the row above: there French has"),
        ((0, 2, None, 1), False, f" In 1 row the mark is further to the left than in the row above, {SUGGESTS} there."),
        ((1,), False, ""),
        ((1, None), False, ""),
    ],
    ids=["known", "yours", "with an end", "back", "back past an end", "one row", "one word"],
)
def test_the_order_of_the_marks(columns: tuple[int | None, ...], known: bool, said: str) -> None:
    """None is the end mark, which is the last column."""
    links = [link("mot", 9 if one is None else one, special=one is None) for one in columns]
    back = heatmap.count_back(links)
    assert back == (2 if "In 2 rows" in said else 1 if "In 1 row " in said else 0)
    assert heatmap.tell_order(links, back, known=known).startswith(said)
    assert bool(heatmap.tell_order(links, back, known=known)) == bool(said)


def test_nothing_is_claimed_of_the_order_of_words_in_your_sentence(tour: Tour) -> None:
    """In *Le chat l'a vu* the pronoun stands before the verb, whatever the marks do."""
    (chapter,) = Chapters("The cat saw it.").tour(6).chapters.values()
    assert "same order" not in chapter.found
    assert "there French has" not in chapter.found
    assert "there French has its words in another order" in tour.chapters[6].found


def key(place: int, label: str, *, special: bool = False) -> _Key:
    word = label.isalnum()
    return _Key(place, label, told_key(label, special=special), word, 0.5)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (key(1, "trophy"), key(6, "suitcase"), "One word has turned it to another."),
        (key(1, "trophy"), key(1, "trophy"), "It still looks most at the same word."),
        (key(0, "the"), key(4, "the"), "One word has turned it to another."),
        (key(9, "big"), key(9, "small"), "It still looks most at the same place."),
        (key(9, "</s>", special=True), key(9, "</s>", special=True), "It still looks most at the same place."),
        (key(1, "trophy"), key(9, "</s>", special=True), "One word has turned it elsewhere."),
        (key(1, '"'), key(4, "cat"), "One word has turned it elsewhere."),
    ],
    ids=["another", "the same", "another of one name", "the changed word", "the end", "to the end", "from a quote"],
)
def test_a_turn_is_told_by_what_it_turns_to(first: _Key, second: _Key, said: str) -> None:
    assert _moved(first, second) == said


@pytest.mark.parametrize(
    ("text", "reason"),
    [("The cat saw it.", False), ("The dog saw the house because it slept", True)],
)
def test_a_reason_is_to_be_changed_where_there_is_one(text: str, reason: bool) -> None:
    (chapter,) = Chapters(text).tour(4).chapters.values()
    assert not chapter.note
    assert ("Change the reason, and attn diff" in chapter.found) == reason


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("The dog saw the house", None),
        ("My name is Kofi", ("; ▁ marks the start of a word, and", "▁K", "of", "i")),
        ("(The dog saw Kofi)", ("; ▁ marks the start of a word, and", "▁K", "of", "i")),
        ("I like the-Kofi", (":", "K", "of", "i")),
    ],
    ids=["whole words", "a marked start", "a bracket", "an unmarked start"],
)
def test_pieces_are_explained_where_they_are_shown(text: str, told: tuple[str, ...] | None) -> None:
    (chapter,) = Chapters(text).tour(3).chapters.values()
    (picture,) = chapter.pictures
    assert isinstance(picture, Explained)
    if told is None:
        assert "piece" not in chapter.about
        return
    between, *pieces = told
    assert set(pieces) <= set(picture.labels)
    found = re.search(f"cut into pieces{between} “(\\S+)” is a piece of “Kofi”", chapter.about)
    assert found is not None
    assert found[1] in pieces
    strongest = picture.labels[int(picture.steps.weights.argmax())]
    assert strongest not in pieces or found[1] == strongest


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


@pytest.mark.parametrize(
    ("after", "another", "said"),
    [
        ((0.9, 0.84), False, "stays. Of its words, “ce” changes most: its probability rises from 0.57 to 0.84 "),
        ((0.3, 0.60), False, "stays. Of its words, “Le” changes most: its probability falls from 0.90 to 0.30 "),
        ((0.9, 0.17), True, "is another. Of the words of the first, “ce” changes most: its probability falls from "),
        ((0.88, 0.61), False, "stays, and is about as likely: no word's probability changes by 0.05 or more, so"),
        ((0.88, 0.61), True, "is another, though in the first no word's probability changes by 0.05 or more."),
    ],
    ids=["more likely", "less likely", "another", "nothing", "another for nothing"],
)
def test_a_cut_is_told_by_the_word_that_changes_most(after: tuple[float, float], another: bool, said: str) -> None:
    before = (0.9, 0.57)
    logs = [np.log(np.array(side, np.float32)) for side in (before, after)]
    told, cut = tell_cut("encoder head 2.0", ["Le", "ce"], *logs, another=another)
    assert told.startswith(f"Without encoder head 2.0 the translation {said}")
    was, becomes, effect = (figure.value for figure in cut)
    assert isinstance(was, float)
    assert isinstance(becomes, float)
    assert isinstance(effect, float)
    changes = [late - early for early, late in zip(before, after, strict=True)]
    most = max(changes, key=abs)
    assert becomes - was == pytest.approx(most, abs=1e-6)
    assert effect == pytest.approx(math.log(becomes / was), abs=1e-5)
    assert (abs(most) < LITTLE) == ("no word's probability changes" in told)
    if abs(most) >= LITTLE:
        speaks = "against" if most > 0 else "for"
        assert told.endswith(f"(effect {effect:+.2f} nats), so the head speaks {speaks} it.")


def test_a_word_that_becomes_likelier_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """The head may speak against a word, and then the cut makes the translation likelier."""
    text = "The teacher gave Anna a book because she had lost hers. Was it expensive?"
    (chapter,) = Chapters(text).tour(5).chapters.values()
    cut = answered(capsys, chapter.commands[1])
    (trial,) = cut["trials"]
    pairs = zip(cut["output"]["words"], trial["words"], strict=True)
    changes = {word["text"]: math.exp(after) - math.exp(word["value"]) for word, after in pairs}
    most = max(changes, key=lambda word: abs(changes[word]))
    assert changes[most] > LITTLE
    assert "about as likely" not in chapter.found
    assert f"“{most}” changes most: its probability rises" in chapter.found


def test_a_role_is_given_as_the_tour_says(tour: Tour) -> None:
    assert "if its score reaches the role's threshold and beats its baseline" in tour.chapters[5].about
    assert re.search(r"where the threshold is \d\.\d\d and the baseline \d\.\d\d\.", tour.chapters[5].found)


def test_heads_are_named_with_their_kind(tour: Tour) -> None:
    """Head 2.0 of the encoder and of the cross-attention are two heads."""
    kinds = {}
    for number in (4, 5, 6):
        words = f"{tour.chapters[number].about} {tour.chapters[number].found}"
        kinds[number] = {found[1] for found in re.finditer(r"(\S+ \S+) \d+\.\d\b", words)}
    assert kinds == {4: {"encoder head"}, 5: {"encoder head"}, 6: {"cross-attention head"}}


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
    assert "token" in WORDS
    assert "Every figure" not in tour.chapters[8].about


def test_the_document(tour: Tour) -> None:
    document = validated(tour.data(), "tour")
    assert [chapter["number"] for chapter in document["chapters"]] == list(CHAPTERS)
    assert all(chapter["figures"] and chapter["commands"] and not chapter["note"] for chapter in document["chapters"])
    assert len(list(tour.rows())) == sum(len(chapter["figures"]) for chapter in document["chapters"])


def test_one_note_at_most_is_about_rare_words() -> None:
    """Each of three models has one, with an option that the tour does not have."""
    chapters = Chapters("My axolotl saw the house")
    whole = chapters.tour(1, 2, 6)
    own = {note for one in whole.chapters.values() for picture in one.pictures for note in picture.notes}
    assert sum("hardly seen axolotl" in note for note in own) == 3
    (note,) = whole.notes
    assert note.startswith("toy has hardly seen axolotl")
    assert ";" not in note
    assert "--model" not in note
    assert chapters.tour(1).notes == chapters.tour(6).notes == whole.notes
    (own_note,) = chapters.tour(2).notes  # the chapter shows toy-rnn-attention alone
    assert own_note.startswith("toy-rnn-attention has hardly seen axolotl")
    assert "--model" not in own_note
    assert chapters.tour(2, 3).notes == chapters.tour(3).notes == (own_note,)
    assert chapters.tour(2, 6).notes == whole.notes
    assert Chapters().tour(1).notes == ()


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
