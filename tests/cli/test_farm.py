"""Texts shared out over processes: the same as in one, and what becomes of it when something fails on the way."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import attn_cli
from attn_cli.api import Inspector
from attn_cli.cli import farm as farms
from attn_cli.cli import workers
from attn_cli.cli.app import main
from attn_cli.cli.farm import Farm, LostError, _run
from attn_cli.cli.inputs import Given
from attn_cli.cli.options import ModelOptions, PromptOptions
from attn_cli.cli.workers import Workers
from attn_cli.data.selection import Selection
from attn_cli.errors import InputError, ModelError, UsageError
from attn_cli.measure import corpus as measured
from attn_cli.questions.heads import measurer
from attn_cli.questions.heads import probe as probes
from attn_cli.questions.heads.corpora import Corpora
from attn_cli.questions.heads.gathered import Asked
from attn_cli.questions.heads.retrieval import find_needles
from tests.conftest import Run
from tests.questions.heads.copying import Copying
from tests.questions.heads.test_treebank import GOOD

# What Dask starts and stops is not all closed by the time that the block ends.
pytestmark = [pytest.mark.unchecked, pytest.mark.filterwarnings("default")]

TEXTS = ["The cat sat on the mat.", "Hello", "The qwertyish dog sat.", "A house is in Paris.", "The dog ran and sat."]
HIDDEN = ("--no-special", "--no-sink")


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """Two processes of this machine, as `--workers 2` starts them."""
    with Farm(Workers(2)) as started:
        yield started


@pytest.fixture
def address(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of their scheduler, beside a corpus of three windows of two texts."""
    monkeypatch.setattr(measured, "WINDOW", 2)
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text("\n".join(TEXTS))
    return str(farm._client.scheduler.address)


def at_first_result(do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something once, when the first window has been measured."""
    plain = Farm._result
    done: list[object] = []

    def result(self: Farm, future: Any) -> Any:
        found = plain(self, future)
        if hasattr(found, "tally") and not done:
            done.append(do())
        return found

    monkeypatch.setattr(Farm, "_result", result)


def test_the_same_as_one_process(address: str, attn: Run) -> None:
    command = ["heads", "--file", "corpus.txt", *HIDDEN]
    whole = attn(*command, "--json")
    assert attn(*command, "--json", "--workers", address) == whole
    assert any(note.startswith("1 text was left out: line 2 of corpus.txt") for note in json.loads(whole)["notes"])
    for number in (1, 2):
        attn(*command, "--shard", f"{number}/2", "--save", f"part{number}.npz", "--workers", address)
    merged = json.loads(attn("heads", "part1.npz", "part2.npz", "--json"))
    assert merged["texts"] == json.loads(whole)["texts"]


def test_a_treebank(address: str, attn: Run) -> None:
    Path("bank.conllu").write_text(f"{GOOD}\nbroken\n\n{GOOD}")
    command = ["heads", "--conllu", "bank.conllu", "--layer", "1", "--json"]
    assert attn(*command, "--workers", address) == attn(*command)


class Here:
    """Workers in this process, to which all is sent as bytes; they are lost when they have done so many chunks."""

    def __init__(self, most: int = 99) -> None:
        self.most = most

    def each(self, function: Any, chunks: Iterator[Any], _: object = None) -> Iterator[Any]:
        for chunk in chunks:
            if not self.most:
                raise LostError("The scheduler is gone")
            self.most -= 1
            work, given = pickle.loads(pickle.dumps((function, chunk)))  # noqa: S301
            yield pickle.loads(pickle.dumps(work(given)))  # noqa: S301


def test_a_probe_is_shared_out(attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SENTENCES", 4)
    monkeypatch.setattr(probes, "TEXTS", 2)
    command = ["heads", "--probe", "--seed", "2", "--layer", "1", "--json"]
    alone = attn(*command)
    monkeypatch.setattr(Corpora, "_farm", lambda _: nullcontext(Here()))
    assert attn(*command) == alone


@pytest.fixture
def needles(monkeypatch: pytest.MonkeyPatch) -> Corpora:
    """Needles for a model made by hand, which all workers load."""
    monkeypatch.setattr(measurer, "loaded_once", lambda *_: Copying())
    texts = Given(iter(()), None, None, PromptOptions(), ModelOptions())
    corpora = Corpora(texts, Asked(Selection(), "needles"))
    corpora.measurer.described = (Copying().info, "by hand")
    return corpora


def test_needles_are_shared_out(needles: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Corpora, "_farm", lambda _: nullcontext(Here()))
    assert needles.whole("", cut=5).to_dict() == find_needles(Copying(), Selection(), cut=True, seed=5).to_dict()


def test_workers_lost_among_needles(needles: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = Here(2)
    monkeypatch.setattr(Corpora, "_farm", lambda _: nullcontext(farm))
    found = needles.whole("", cut=5)
    assert (found.texts, found.needles and found.needles.cut) == (2, None)
    assert found.notes[-1] == "The scheduler is gone: the figures are of the 2 texts measured before"
    assert needles.lost is not None
    farm.most, vars(needles)["lost"] = (
        7,
        None,
    )  # which is after all six, and before all have been looked for without heads
    found = needles.whole("", cut=5)
    assert (found.texts, found.needles and found.needles.cut) == (6, None)
    assert found.notes[-1] == "The scheduler is gone: needles were not counted without heads"
    assert needles.lost is not None
    farm.most, vars(needles)["lost"] = 0, None
    with pytest.raises(LostError):
        needles.whole("")


def test_a_worker_that_is_killed(farm: Farm, address: str, attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = attn("heads", "--file", "corpus.txt", "--json")
    pid = next(iter(farm._client.run(os.getpid).values()))
    at_first_result(lambda: os.kill(pid, signal.SIGKILL), monkeypatch)
    assert attn("heads", "--file", "corpus.txt", "--json", "--workers", address) == whole
    assert pid not in farm._client.run(os.getpid).values()


def test_a_result_that_died_with_its_worker_is_waited_for(farm: Farm) -> None:
    lost: Any = SimpleNamespace(status="lost", done=lambda: False)
    assert not farm._is_done(lost)


def test_ctrl_c(address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    at_first_result(lambda: signal.raise_signal(signal.SIGINT), monkeypatch)
    assert main(["heads", "--file", "corpus.txt", "--json", "--workers", address]) == 130
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert 2 <= document["texts"] <= 5
    assert document["notes"][-1] == f"Stopped with Ctrl-C after {document['texts']} texts: the figures are of these"
    assert "stopping; press Ctrl-C again" in err


def test_ctrl_c_while_workers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until they can be stopped, and they do not hear it, though a terminal sends it to them too."""
    closed: list[float] = []

    class Started:
        def __init__(self, *_: object, **__: object) -> None:
            signal.raise_signal(signal.SIGINT)
            assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

        def register_plugin(self, _: object) -> None:
            pass

        def close(self, timeout: float) -> None:
            closed.append(timeout)

    monkeypatch.setattr(farms, "LocalCluster", Started)
    monkeypatch.setattr(farms, "Client", Started)
    with pytest.raises(KeyboardInterrupt), Farm(Workers(2)):
        pass
    assert len(closed) == 2
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_that_do_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """So Dask says that a script has no `if __name__ == "__main__":`."""

    def fail(**_: object) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(farms, "LocalCluster", fail)
    with pytest.raises(ModelError, match=r"This machine cannot start the workers\. Start fewer of them; in a script"):
        Farm(Workers(2)).__enter__()


def test_a_worker_that_cannot_load_the_model(address: str, attn: Run) -> None:
    error = attn("heads", "--file", "corpus.txt", "--model", "./no/such", "--workers", address, code=5)
    assert error.startswith("attn: The worker at tcp://127.0.0.1:")
    assert ": There is no folder ./no/such" in error


def test_workers_with_other_weights(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm, "on_each", lambda _: [(None, "one"), (None, "other")])
    with pytest.raises(ModelError, match=r"The worker at tcp:.* loads other weights than that at tcp:"):
        farm.the_same(lambda: (None, ""))


def test_a_scheduler_that_goes_away(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0", silence_logs=50
    ) as cluster:
        monkeypatch.setattr(measured, "WINDOW", 1)
        monkeypatch.setattr("attn_cli.cli.farm.CONNECT", 2.0)
        at_first_result(cluster.close, monkeypatch)
        command = ["heads", "--file", "corpus.txt", "--json", "--save", "heads.json"]
        assert main([*command, "--workers", cluster.scheduler_address]) == 5
    out, err = capsys.readouterr()
    document = json.loads(out)
    gone = f"The scheduler at {cluster.scheduler_address} does not answer any more"
    assert document["notes"][-1].startswith(f"{gone}: the figures are of the {document['texts']} text")
    assert f"attn: {gone}. Start it again." in err
    assert json.loads(Path("heads.json").read_text()) == document


def test_a_scheduler_without_workers(address: str, attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0", silence_logs=50) as cluster:
        monkeypatch.setattr("attn_cli.cli.farm.time.sleep", interrupt)
        place = cluster.scheduler_address
        said = attn("heads", "--file", "corpus.txt", "--workers", place, code=130)
        monkeypatch.undo()
    assert f"note: no worker has come to {place} yet, so this waits for the first" in said


def test_texts_that_kill_workers(farm: Farm) -> None:
    scheduler = farm._client.cluster.scheduler
    before, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        with pytest.raises(LostError, match=r"Workers died again and again of the same texts. Give each more memory"):
            list(farm.each(os._exit, iter([1])))
    finally:
        scheduler.allowed_failures = before


def test_other_versions(address: str, attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.cli.farm.__version__", "9.9")
    error = attn("heads", "--file", "corpus.txt", "--workers", address, code=5)
    assert "has attn 0.1.0, and this is attn 9.9. Install the same version in both places." in error
    monkeypatch.setattr("attn_cli.cli.farm.get_worker", lambda: type("Worker", (), {"address": "tcp://1.2.3.4:5"}))
    with pytest.raises(ModelError, match=r"The worker at tcp://1.2.3.4:5 has attn 9.9, and this is attn 9.8"):
        _run("9.8", b"")
    monkeypatch.setattr("attn_cli.cli.farm.VERSION", "no_attn:__version__")
    assert "The scheduler at tcp://127.0.0.1:" in (
        error := attn("heads", "--file", "corpus.txt", "--workers", address, code=5)
    )
    assert "has no attn. Install attn 9.9 there." in error


def test_a_port_that_something_else_has(address: str, attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attn_cli.cli.farm.CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        error = attn("heads", "--file", "corpus.txt", "--workers", place, code=5)
        assert f"{place} is not a Dask scheduler, or runs another version" in error
    error = attn("heads", "--file", "corpus.txt", "--workers", place, code=5)
    assert f"No scheduler can be reached at {place}: Connection refused. Start one with `dask scheduler`" in error


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "--workers must be between 1 and 1,024, and 0 is not"),
        ("9999", "--workers must be between 1 and 1,024"),
        ("four", "--workers 'four' is neither a number nor the address of a scheduler"),
        ("-1", "neither a number"),
        ("HOST:8786", "neither a number"),
        ("tcp://HOST", "Write it like --workers 4, or --workers tcp://HOST:8786"),
        ("tcp://HOST:1/x", "neither a number"),
    ],
)
def test_what_is_no_number_of_workers(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Workers.parse(value, shared=True, instead="")


def test_what_is_not_shared_out(attn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (["The cat sat"], ["The cat sat", "--probe"]):
        assert "--workers shares out the texts of a corpus" in attn("heads", *given, "--workers", "2", code=2)
    monkeypatch.setattr(workers, "find_spec", lambda _: None)
    error = attn("heads", "--file", "corpus.txt", "--workers", "2", code=2)
    assert "--workers needs the package distributed. Run `pip install 'attn-cli[cluster]'`, then try again." in error


def test_errors_are_sent_whole() -> None:
    error = pickle.loads(pickle.dumps(InputError("There is no text", "Give one")))  # noqa: S301
    assert (type(error), str(error), error.remedy) == (InputError, "There is no text. Give one.", "Give one")


PAIRS = ["The cat sat.", "", "The house is old."]


def test_from_python(address: str, tmp_path: Path) -> None:
    Path("corpus.csv").write_text("id,review\n1,The cat sat.\n2,A house is old.\n3,The dog ran.\n")
    texts = list(attn_cli.read_texts(tmp_path / "corpus.csv", field="review"))
    assert texts == ["The cat sat.", "A house is old.", "The dog ran."]
    model = attn_cli.load("toy", device="cpu")
    shared = model.heads(iter(texts), workers=address, without="2.0", layer="1").to_dict()
    assert shared == model.heads(texts, without="2.0", layer="1").to_dict()
    with pytest.raises(UsageError, match="workers share out several texts"):
        model.heads("The cat sat.", workers=2)
    with pytest.raises(UsageError, match="Workers read texts, not chats"):
        model.heads([[{"role": "user", "content": "Hello"}]], workers=address)
    with pytest.raises(UsageError, match="Workers load a model by its name"):
        Inspector(model._model).heads(texts, workers=2)


def test_texts_one_by_one(address: str, attn: Run) -> None:
    Path("lines.txt").write_text("\n".join(PAIRS))
    for command in (
        ["inspect", "--json", "--layer", "1"],
        ["translate", "--json", "--layer", "1"],
        ["translate", "--align-score"],
        ["ablate", "--json", "--layer", "2", "--by", "heads"],
        ["ablate", "--json", "--query", "The", "--head", "2.0"],
        ["ablate", "--json", "--head", "2.0", "--by", "heads", "--with", "mean", "--from-text", "The dog ran."],
        ["ablate", "--json", "--head", "2.0", "--by", "heads", "--with", "mean", "--from-file", "corpus.txt"],
    ):
        alone = attn(*command, "--file", "lines.txt")
        assert attn(*command, "--file", "lines.txt", "--workers", address) == alone


def test_a_text_that_is_at_fault(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lines.txt").write_text("The cat sat.\nThe dog ran.\n" + "the cat " * 500)
    told = []
    for more in ([], ["--workers", address]):
        assert main(["inspect", "--json", "--file", "lines.txt", *more]) == 3
        told.append(capsys.readouterr())
    assert told[0] == told[1]
    assert told[0].out.count("\n") == 2
    assert "line 3 of lines.txt: The text has 1001 tokens" in told[0].err
    Path("lines.txt").write_bytes(b"The cat sat.\nThe dog ran.\ncaf\xe9\n")
    assert main(["inspect", "--json", "--file", "lines.txt", "--workers", address]) == 3
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
    assert "line 3 of lines.txt is not UTF-8" in err


def test_what_else_is_not_shared_out(attn: Run) -> None:
    for command in (["inspect", "--file", "a.txt"], ["inspect", "A cat", "--json"], ["translate", "--file", "a.txt"]):
        assert "--workers shares out the texts of a corpus. Name one with --file, and add --json" in attn(
            *command, "--workers", "2", code=2
        )
    for more in (["--head", "2.0"], ["--attribution"]):
        error = attn("ablate", "--file", "a.txt", *more, "--workers", "2", code=2)
        assert "--workers shares out the texts of a corpus. Name one with --file, with heads cut in turn or" in error
