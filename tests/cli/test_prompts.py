"""Prompts as people have them: chats, whole files and parts, through the command line, on a small random decoder."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from attn_cli.cli.app import main
from tests.conftest import Run
from tests.models.chats import chatting

MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "Did the trophy "}, {"type": "text", "text": "fit?"}]},
    {"role": "assistant", "content": "It was too big."},
    {"role": "user", "content": "Why?"},
]
LINES = """user: Did the trophy fit?
assistant: It was too big.
user: Why?
"""
TURNS = [("user", "Did the trophy fit?"), ("assistant", "It was too big."), ("user", "Why?")]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a random decoder that has a chat template."""
    folder = tmp_path_factory.mktemp("chatting")
    model: Any = chatting("smollm2")
    model._saved.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return str(folder)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    got = main(list(arguments))
    out, err = capsys.readouterr()
    assert got == code, err
    assert "Traceback" not in err
    return out if code == 0 else err


def rendered(turns: list[tuple[str, str]], *, answers: bool = False) -> list[int]:
    tokenizer: Any = chatting("smollm2").tokenizer
    messages = [{"role": role, "content": content} for role, content in turns]
    return list(tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=answers)["input_ids"])


def ids(document: str) -> list[int]:
    return [token["id"] for token in json.loads(document)["source"]["tokens"]]


def test_a_chat_in_every_form(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    forms = {
        "list.json": json.dumps(MESSAGES),
        "object.json": json.dumps({"messages": MESSAGES, "id": 3}, indent=1),
        "chat.txt": LINES,
        "chats.jsonl": "\n" + json.dumps({"messages": MESSAGES}) + "\n",
    }
    for name, content in forms.items():
        (tmp_path / name).write_text(content)
        got = run(capsys, "inspect", "--chat", str(tmp_path / name), "--model", decoder, "--layer", "0", "--json")
        assert ids(got) == rendered(TURNS), name
    system = ("--system", "Be brief", "--layer", "0", "--json", "--model", decoder)
    with_system = [("system", "Be brief"), *TURNS]
    assert ids(run(capsys, "inspect", "--chat", str(tmp_path / "chat.txt"), *system)) == rendered(with_system)
    alone = [("system", "Be brief"), ("user", "Why?")]
    assert ids(run(capsys, "inspect", "Why?", *system)) == rendered(alone)


def test_a_chat_from_a_pipe(decoder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        buffer = io.BytesIO(LINES.encode())

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Pipe())
    assert ids(run(capsys, "inspect", "--chat", "-", "--model", decoder, "--layer", "0", "--json")) == rendered(TURNS)


def test_every_command_reads_a_chat(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_text(LINES)
    chat = ("--chat", str(tmp_path / "chat.txt"), "--model", decoder)
    document = run(capsys, "generate", *chat, "--max-tokens", "3", "--json")
    prompt = rendered(TURNS, answers=True)
    assert ids(document)[: len(prompt)] == prompt
    assert json.loads(document)["parts"]["parts"][-1]["name"] == "answer"
    known = run(capsys, "generate", *chat, "--continue", "It is big.", "--json")
    assert ids(known)[: len(prompt)] == prompt
    assert ids(run(capsys, "find", "Why", "trophy", *chat, "--json")) == rendered(TURNS)
    assert ids(run(capsys, "explain", *chat, "--query", "Why", "--head", "0.1", "--json")) == rendered(TURNS)
    assert ids(run(capsys, "ablate", *chat, "--head", "0.1", "--json")) == prompt
    cut = json.loads(run(capsys, "ablate", *chat, "--head", "0.1", "--target", "It", "--json"))
    assert [token["id"] for token in cut["source"]["tokens"]][: len(prompt)] == prompt


def test_heads_of_chats(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One chat is measured as the record of it is; several, of a `.jsonl`, are a corpus."""
    import attn_cli

    one, other = ([{"role": "user", "content": said}] for said in ("Did the trophy fit?", "Why?"))
    (tmp_path / "chat.json").write_text(json.dumps(one))
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps(one)}\n{json.dumps(other)}\n")
    found = json.loads(run(capsys, "heads", "--chat", str(tmp_path / "chat.json"), "--model", decoder, "--json"))
    saved = str(tmp_path / "record.json")
    run(capsys, "inspect", "--chat", str(tmp_path / "chat.json"), "--model", decoder, "--save", saved)
    assert found["heads"] == json.loads(run(capsys, "heads", saved, "--json"))["heads"]
    both = json.loads(run(capsys, "heads", "--chat", str(tmp_path / "chats.jsonl"), "--model", decoder, "--json"))
    assert both["texts"] == 2
    model = attn_cli.load(decoder)
    assert model.heads(one).to_dict()["heads"] == found["heads"]
    assert model.heads([one, other]).to_dict()["heads"] == both["heads"]


def test_differences_of_chats(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two chats, one under each system turn, or one on two models, differ as their records do."""
    import attn_cli

    asked = [{"role": "user", "content": "Did the trophy fit?"}]
    chats = [[{"role": "system", "content": said}, *asked] for said in ("Be brief", "Be kind")]
    names = [str(tmp_path / f"{number}.json") for number in range(2)]
    saved = [str(tmp_path / f"{number}.npz") for number in range(2)]
    for name, record, chat in zip(names, saved, chats, strict=True):
        Path(name).write_text(json.dumps(chat))
        run(capsys, "inspect", "--chat", name, "--model", decoder, "--save", record)
    expected = json.loads(run(capsys, "diff", *saved, "--json"))["heads"]
    sides = ("--chat", names[0], "--chat", names[1], "--model", decoder)
    assert json.loads(run(capsys, "diff", *sides, "--json"))["heads"] == expected
    assert attn_cli.load(decoder).diff(*chats).to_dict()["heads"] == expected
    shown = run(capsys, "diff", *sides, "--width", "80", "--no-color")
    assert "Be kind" in shown
    assert "1 differs" in shown
    same = run(capsys, "diff", "--chat", names[0], "--against", decoder, "--model", decoder)
    assert "Nothing changed." in same
    system = ("--system", "Be brief", "--model", decoder, "--json")
    words = json.loads(run(capsys, "diff", "Did the trophy fit?", "Did the cat fit?", *system))
    assert rendered([("system", "Be brief"), ("user", "Did the trophy fit?")]) == [
        token["id"] for token in words["source"]["tokens"]
    ]
    (tmp_path / "text.txt").write_text("The trophy\n\ndid not fit")
    cut = ("--without", "0.1", "--model", decoder, "--json")
    whole = json.loads(run(capsys, "diff", "--file", str(tmp_path / "text.txt"), "--whole", *cut))
    assert whole["source"]["text"] == "The trophy\n\ndid not fit"
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps(chats[0])}\n{json.dumps(chats[1])}\n")
    assert len(run(capsys, "diff", "--chat", str(tmp_path / "chats.jsonl"), *cut).splitlines()) == 2
    uneven = ("--chat", str(tmp_path / "chats.jsonl"), "--chat", names[0], "--model", decoder, "--json")
    assert "holds more chats than" in run(capsys, "diff", *uneven, code=3)


def test_a_record_is_not_read_again(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    saved = str(tmp_path / "record.json")
    run(capsys, "inspect", "The cat", "--model", decoder, "--save", saved, "--layer", "0")
    for arguments in (
        ("heads", saved, "--system", "Hi"),
        ("heads", saved, "--from", "en"),
        ("find", saved, "cat", "The", "--pair", "Hi"),
        ("diff", saved, "The dog", "--split", "spaces"),
    ):
        said = run(capsys, *arguments, code=2)
        assert f"record.json is a record, so {arguments[-2]} cannot be used with it. Leave {arguments[-2]} out" in said


def test_the_table_of_parts_and_hidden_marks(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_text(LINES)
    asked = ("inspect", "--chat", str(tmp_path / "chat.txt"), "--model", decoder, "--width", "80", "--no-color")
    shown = run(capsys, *asked, "--all")
    assert "Who is looked at by the last row" in shown
    assert "sink aside" in shown
    hidden = run(capsys, *asked, "--no-special", "--all")
    assert "im_start" not in hidden
    assert "sink aside" not in hidden


def test_a_file_as_one_text(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("The trophy was big.\r\n\r\nIt did not fit.\n\n")
    asked = ("--file", str(file), "--model", decoder, "--layer", "0", "--json")
    document = json.loads(run(capsys, "inspect", *asked, "--whole", "--parts", "lines"))
    assert document["source"]["text"] == "The trophy was big.\n\nIt did not fit."
    assert [part["name"] for part in document["source"]["parts"]] == ["1 The trophy was big.", "2 It did not fit."]
    assert len(run(capsys, "inspect", *asked).splitlines()) == 2
    cut = json.loads(run(capsys, "ablate", "--file", str(file), "--whole", "--model", decoder, "--json"))
    assert cut["source"]["text"].startswith("The trophy")


def test_parts_by_name(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "parts.tsv").write_text("fact\tThe trophy\nquestion\tDid it\n")
    text = "Read this. The trophy was big. Did it fit?"
    asked = ("inspect", text, "--model", decoder, "--layer", "0", "--json", "--parts")
    document = json.loads(run(capsys, *asked, str(tmp_path / "parts.tsv")))
    assert [part["name"] for part in document["parts"]["parts"]][:3] == ["start", "fact", "question"] or [
        part["name"] for part in document["source"]["parts"]
    ] == ["start", "fact", "question"]
    (tmp_path / "other.tsv").write_text("fact\n")
    assert "line 1 of" in run(capsys, *asked, str(tmp_path / "other.tsv"), code=3)
    assert "cannot be read" in run(capsys, *asked, "turn", code=3)
    assert "no turns" in run(capsys, *asked, "turns", code=3)


CHAT = "chat.json"


@pytest.mark.parametrize(
    ("content", "arguments", "said", "code"),
    [
        ("Hello", ["inspect", "--chat", CHAT], "does not begin with the role of a turn", 3),
        ("[1", ["inspect", "--chat", CHAT], "is not JSON", 3),
        ("{}", ["inspect", "--chat", CHAT], "has no list of messages", 3),
        ("[]", ["inspect", "--chat", CHAT], "has no list of messages", 3),
        ('[{"content": "Hi"}]', ["inspect", "--chat", CHAT], "has no role", 3),
        ('[{"role": "user"}]', ["inspect", "--chat", CHAT], "has no content", 3),
        (
            '[{"role": "user", "content": [{"type": "image", "url": "x"}]}]',
            ["inspect", "--chat", CHAT],
            "a part of type 'image', and only text is read",
            3,
        ),
        ('[{"role": "assistant", "content": "", "tool_calls": [1]}]', ["inspect", "--chat", CHAT], "calls tools", 3),
        ("user: Hi", ["inspect", "Hi", "--chat", CHAT], "A text and --chat are both given", 2),
        ("user: Hi", ["inspect", "--chat", CHAT, "--file", CHAT], "--file and --chat are both given", 2),
        ("user: Hi", ["inspect", "--chat", CHAT, "--pair", "Yo", "--model", "toy"], "--pair cannot be used", 2),
        ("system: A\nuser: Hi", ["inspect", "--chat", CHAT, "--system", "B"], "--system is given as well", 3),
        ("user: Hi", ["inspect", "--chat", CHAT, "--model", "toy"], "toy has no chat template", 5),
        ("user: Hi", ["ablate", "--chat", CHAT, "--with", "resample", "--from-text", "Yo"], "--with resample", 2),
        ("Hi", ["inspect", "--whole"], "Name one with --file", 2),
        ("Hi", ["inspect", "--whole", "--file", CHAT, "--field", "text"], "has no columns", 2),
        (" \n", ["inspect", "--whole", "--file", CHAT], "There is no text in", 3),
        ("Hi", ["inspect", "--whole", "--file", "hf://datasets/a/b"], "hf://datasets/a/b cannot be read: No such", 3),
        ("user: Hi", ["diff", "--chat", CHAT], "Give --chat twice, or --against a second model, or --without", 2),
        ("user: Hi", ["diff", *["--chat", CHAT] * 3], "--chat names A and B, and 3 are given", 2),
        ("user: Hi", ["diff", *["--chat", CHAT] * 2, "--against", "toy"], "Leave out the second chat, or --against", 2),
        ("user: Hi", ["diff", "Hi", "--chat", CHAT, "--without", "0"], "A text and --chat are both given", 2),
        ("Hi", ["diff", "--file", CHAT, "--whole"], "--whole gives A, and there is nothing to compare it with", 2),
        ("user: Hi", ["translate", "Hi", "--chat", CHAT], "has no option --chat, as there is in generate, inspect", 2),
        ("user: Hi", ["inspect", "Hi", "--chat"], "Option '--chat' requires an argument", 2),
        ("user: Hi", ["heads", "--chat", CHAT, "--needle"], "--needle hides facts in a text of its own", 2),
        ("user: Hi", ["heads", "--chat", CHAT, "--conllu", CHAT], "A text and a treebank are both given", 2),
        ("user: Hi", ["heads", "--probe", "--system", "Hi"], "are for a text, and --probe makes its own", 2),
    ],
)
def test_faults_are_told_in_one_line(
    content: str, arguments: list[str], said: str, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / CHAT).write_text(content)
    got = run(capsys, *(str(tmp_path / CHAT) if one == CHAT else one for one in arguments), code=code)
    assert said in got
    assert len(got.strip().splitlines()) == 1


def words_of(document: str) -> list[str]:
    return [word["text"] for word in json.loads(document)["source"]["words"]]


def test_what_a_word_is(decoder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "didn't fit,\nthe-trophy was"
    asked = ("inspect", text, "--model", decoder, "--layer", "0", "--json")
    for how in ((), ("--split", "words")):
        assert words_of(run(capsys, *asked, *how))[:4] == ["didn't", "fit", ",", "\n"]
    assert words_of(run(capsys, *asked, "--split", "spaces")) == ["didn't", "fit,", "\n", "the-trophy", "was"]
    (tmp_path / "words.txt").write_text("the\nthe-trophy\n")
    listed = run(capsys, *asked, "--split", str(tmp_path / "words.txt"))
    assert words_of(listed) == ["didn't", "fit", ",", "\n", "the-trophy", "was"]
    found = run(capsys, "find", text, "was", "the-trophy", "--model", decoder, "--split", "spaces", "--json")
    assert words_of(found) == ["didn't", "fit,", "\n", "the-trophy", "was"]
    assert "Add --tokens" in run(capsys, *asked, "--split", "tokens", code=2)
    assert "cannot be read" in run(capsys, *asked, "--split", "lines", code=3)
    assert "--split must say what a word is. Write --split spaces" in run(capsys, *asked, "--split", "", code=2)
    toy = words_of(
        run(capsys, "inspect", "It's the cat", "--model", "toy", "--split", "spaces", "--layer", "0", "--json")
    )
    assert toy == ["It's", "the", "cat"]


def test_python_takes_the_same(decoder: str) -> None:
    import attn_cli

    found = attn_cli.load(decoder).inspect("the-trophy was", split=["the-trophy"], layer=0)
    assert [word.text for word in found.source.words] == ["the-trophy", "was"]


def test_a_file_without_a_chat(tmp_path: Path, attn: Run) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text("\n\n")
    assert "holds no chat" in attn("heads", "--chat", str(file), code=3)
