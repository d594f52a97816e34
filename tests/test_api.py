"""attn from Python, and one look at one text."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import attn_cli
from attn_cli import look as look_module
from attn_cli.cli.app import main
from attn_cli.errors import MemoryLimitError, SelectionError, UsageError
from attn_cli.look import look
from attn_cli.render.json import from_json
from attn_cli.selection import Selection
from tests.samples import decoder_record, encoder_record, translation_record

SENTENCE = "The trophy didn't fit in the suitcase because it was too big"


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, attn_cli; print([name for name in ('numpy', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


def test_the_record_is_the_one_that_the_command_prints(minilm: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = attn_cli.load(minilm)
    assert model.info.family == "bert"
    assert "bert" in repr(model)
    record = model.inspect(SENTENCE, head="3.1", query="it", unit="token")
    assert main(["inspect", SENTENCE, "--model", minilm, "--head", "3.1", "--query", "it", "--tokens", "--json"]) == 0
    printed = from_json(capsys.readouterr().out.encode())
    assert record.selection == printed.selection
    assert record.source == printed.source
    np.testing.assert_array_equal(record.maps[0].weights, printed.maps[0].weights)
    assert record.maps[0].weights.shape == (1, 1, 16)
    assert round(float(record.maps[0].weights[0, 0, 2]), 2) == 0.58


def test_a_notebook_shows_the_screen(minilm: str) -> None:
    record = attn_cli.load(minilm).inspect(SENTENCE + " <script>", layer="3")
    html = record._repr_html_()
    assert "3.11" in html
    assert "Mean weight of 12 heads, layer 3" in html
    assert "<script" not in html


def test_python_gets_the_same_errors(minilm: str) -> None:
    model = attn_cli.load(minilm)
    with pytest.raises(SelectionError, match="layers 0 to 5"):
        model.inspect(SENTENCE, layer="9")
    with pytest.raises(UsageError, match="--layer"):
        model.inspect(SENTENCE, layer="x")


@pytest.mark.parametrize(
    ("selection", "keep"),
    [(Selection(), True), (Selection(), False), (Selection(view="grid"), False), (Selection(head="0.1"), False)],
)
def test_memory_is_predicted(selection: Selection, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_module, "SMALL", 0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(MemoryLimitError, match=r"GB of memory.*--query"):
        look(encoder_record(), selection, keep=keep)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    assert look(encoder_record(), selection, keep=keep).view.summaries()


def test_only_what_is_kept_needs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_module, "SMALL", 0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    assert look(encoder_record(), Selection(view="query", query="fit"), keep=False).view.summaries()


def test_a_look_without_keeping_has_no_maps_and_the_same_figures() -> None:
    for record in (encoder_record(), decoder_record(), translation_record()):
        light, whole = (look(record, Selection(), keep=keep) for keep in (False, True))
        assert light.record.maps == ()
        assert whole.record.maps
        assert json.dumps(light.rows(), default=float) == json.dumps(whole.rows(), default=float)


def test_layers_without_attention_are_named() -> None:
    from attn_cli.render.screen import Screen, to_text

    text = to_text(look(decoder_record(), Selection(), keep=False).draw(Screen(color=False)), Screen(color=False))
    assert "Without attention: mamba in layer 1." in text
    assert "2 of 3 layers" in text
