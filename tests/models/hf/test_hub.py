"""Names on the hub: what is downloaded, what is not, and what is said when it cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import folders, hub

NAME = "someone/tiny-bert"

SCRIPT = """
import sys
from attn_cli.errors import ModelError
from attn_cli.models import LoadOptions
from attn_cli.models.hf.finding import find
options = LoadOptions(**dict(part.split("=") for part in sys.argv[2:]))
try:
    print(find(sys.argv[1], options).folder)
except ModelError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the files that a model on the hub often has, name -> path: ours, and many that attn has no use for."""
    folder = folders.bert(tmp_path_factory.mktemp("hub") / "bert")
    (folder / "modeling_own.py").write_text("raise SystemExit('code of the hub has been run')", encoding="utf-8")
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md"):
        (folder / name).write_bytes(b"not needed")
    found = {path.name: path for path in folder.iterdir()}
    return found | {"onnx/model.onnx": found["README.md"], "1_Pooling/config.json": found["config.json"]}


def ask(home: Path, address: str, name: str = NAME, *options: str, offline: bool = False) -> tuple[str, str]:
    """Find a model in a fresh process; return its folder or the message, and what is shown on stderr."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": str(int(offline))}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, *options],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | settings,
    )
    return ran.stdout.strip(), ran.stderr


def test_a_model_is_downloaded_once_and_without_what_is_not_needed(files: dict[str, Path], tmp_path: Path) -> None:
    with hub.serve(NAME, files) as (address, asked):
        folder, shown = ask(tmp_path, address)
        assert sorted(asked) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        assert "Fetching 4 files" in shown  # the progress
        asked.clear()
        assert ask(tmp_path, address) == (folder, "")
        assert asked == []
    # The server is gone; the files are still there, and that is enough.
    assert ask(tmp_path, address) == (folder, "")
    assert ask(tmp_path, address, offline=True) == (folder, "")
    assert (Path(folder) / "model.safetensors").read_bytes() == files["model.safetensors"].read_bytes()


def test_a_download_that_was_interrupted_is_completed(files: dict[str, Path], tmp_path: Path) -> None:
    with hub.serve(NAME, files) as (address, asked):
        folder, _ = ask(tmp_path, address)
        (Path(folder) / "model.safetensors").unlink()
        asked.clear()
        assert "cannot be reached" in ask(tmp_path, address, offline=True)[0]
        assert ask(tmp_path, address)[0] == folder
        assert (Path(folder) / "model.safetensors").exists()


def test_pickled_weights_are_not_even_downloaded(files: dict[str, Path], tmp_path: Path) -> None:
    pickled = {name: path for name, path in files.items() if not name.endswith(".safetensors")}
    with hub.serve(NAME, pickled) as (address, asked):
        assert "--allow-pickle" in ask(tmp_path, address)[0]
        assert asked == []
        folder, _ = ask(tmp_path, address, NAME, "allow_pickle=1")
        assert "pytorch_model.bin" in asked
        assert (Path(folder) / "pytorch_model.bin").exists()


def test_code_comes_only_where_it_is_trusted(files: dict[str, Path], tmp_path: Path) -> None:
    with hub.serve(NAME, files) as (address, asked):
        ask(tmp_path, address, NAME, "trust_remote_code=1")
        assert "modeling_own.py" in asked


def test_what_is_not_on_the_hub(files: dict[str, Path], tmp_path: Path) -> None:
    with hub.serve(NAME, files) as (address, _):
        assert "no model of that name on the hub" in ask(tmp_path, address, "someone/else")[0]
        assert f"{NAME} has no revision v9" in ask(tmp_path, address, NAME, "revision=v9")[0]
    assert "the hub cannot be reached" in ask(tmp_path, address, "someone/else")[0]


@pytest.mark.parametrize(
    ("status", "content", "message"),
    [
        (500, b"oops", "the hub answers with HTTP error 500"),
        (401, b"{}", "the hub answers with HTTP error 401"),
        (200, b"<html>Log in to this network</html>", "something else answered. Check whether the network"),
    ],
)
def test_a_hub_with_a_fault(status: int, content: bytes, message: str, tmp_path: Path) -> None:
    with hub.answering(status, content) as address:
        said, shown = ask(tmp_path, address)
    assert message in said
    assert "\n" not in said
    assert shown == ""


def test_an_adapter_and_its_base_are_downloaded(files: dict[str, Path], tmp_path: Path) -> None:
    base = {name: path for name, path in files.items() if not name.endswith((".py", ".bin", ".h5"))}
    local = tmp_path / "base"
    local.mkdir()
    for name, path in base.items():
        if "/" not in name:
            (local / name).write_bytes(path.read_bytes())
    settings, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    settings.write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(local)}))
    weights.write_bytes(b"weights")
    adapter = {settings.name: settings, weights.name: weights, "README.md": files["README.md"]}
    with hub.serve(NAME, adapter) as (address, asked):
        folder, _ = ask(tmp_path / "home", address)
        assert folder == str(local)
        assert sorted(asked) == [settings.name, weights.name]
    assert ask(tmp_path / "home", address, offline=True) == (folder, "")


def test_a_transformer_in_a_folder_of_its_own_is_downloaded(files: dict[str, Path], tmp_path: Path) -> None:
    inner = {f"0_Transformer/{name}": path for name, path in files.items() if "/" not in name}
    with hub.serve(NAME, inner | {"modules.json": files["config.json"]}) as (address, asked):
        folder, _ = ask(tmp_path, address)
        assert folder.endswith("/0_Transformer")
        assert "0_Transformer/model.safetensors" in asked
    assert ask(tmp_path, address, offline=True) == (folder, "")
