"""Detection of packages that transformers asks for and does not find, and advice on how to install them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from shlex import quote

__all__ = ["importable", "missing_packages", "needs_gpu", "told"]

INSTALLS = re.compile(
    r"pip3?\s+install((?:\s+(?:-{1,2}[\w-]+|['\"]?[A-Za-z][\w.-]*(?:\[[\w,]+\])?(?:[<>=!~]=?[\w.]+)?['\"]?))+)"
)
"""A `pip install` command and its arguments, in the middle of a sentence."""
NAMED = (
    re.compile(r"need to install ([\w.-]+(?:[<>=]=[\w.]+)?)"),
    re.compile(r"need to have ([\w-]+)(?: or [\w-]+)? installed"),
    re.compile(r"[Tt]he ([\w-]+) dictionary is not installed"),
    re.compile(r"requires (?:the )?`?([\w-]+)`? library"),
    re.compile(r"[Pp]lease install (?:torch and )?([A-Za-z][\w-]*(?:[<>=]=[\d.]+)?)"),
    re.compile(r"^(\w+) is required for the"),
    re.compile(r"(?:A valid|The) (\w+) version"),
)
DISTRIBUTIONS = {
    "HQQ": "hqq",
    "NLTK": "nltk",
    "Pandas": "pandas",
    "PIL": "pillow",
    "PyAv": "av",
    "OpenCV": "opencv-python",
    "SentencePiece": "sentencepiece",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "google": "protobuf",
    "pytorch": "torch",
    "quark": "amd-quark",
    "sklearn": "scikit-learn",
    "unidic_lite": "unidic-lite",
    "yaml": "pyyaml",
}
"""Names on PyPI of packages that are imported, or written about, under another name."""
OTHERS = frozenset(
    {
        "aqlm",
        "auto-round",
        "autoawq",
        "bitsandbytes",
        "causal-conv1d",
        "compressed-tensors",
        "eetq",
        "fp-quant",
        "gptqmodel",
        "jieba",
        "mamba-ssm",
        "nagisa",
        "natten",
        "optimum",
        "optimum-quanto",
        "pythainlp",
        "soynlp",
        "torchao",
        "torchcodec",
        "triton",
        "uroman",
        "vptq",
    }
)
"""Packages that transformers asks for, besides those in its own table."""
PROSE = frozenset({"it", "them", "and", "or", "to", "with", "in", "on", "for", "the", "library", "cell", "as", "then"})


def missing_packages(fault: BaseException) -> tuple[str, ...]:
    """Return the requirements to `pip install` where a fault comes from packages that are missing or too old.

    Args:
        fault: the exception that transformers raised; its causes are searched too.

    Returns:
        Requirements; none where the fault has another cause.
    """
    return next(filter(None, map(_asked_for, _chain(fault))), ())


def _asked_for(fault: BaseException) -> tuple[str, ...]:
    said = str(fault)
    if not isinstance(fault, ImportError) and not re.search(r"pip3? install|need to (install|have)", said):
        return ()
    # Unless it is an ImportError, the message may quote the folder's files, which must not choose what users install.
    any_name = isinstance(fault, ImportError)
    for line in INSTALLS.finditer(said):
        words = [word.strip("'\"").rstrip(".") for word in line[1].split()]
        packages = tuple(word for word in words if not word.startswith("-") and word not in PROSE)
        if packages and (any_name or all(map(_is_known, packages))):
            return packages
    named = (match[1] for pattern in NAMED if (match := pattern.search(said)))
    name = next((name for name in named if name not in PROSE), None)
    if name is None and isinstance(fault, ModuleNotFoundError) and fault.name:
        name = fault.name.partition(".")[0]
    package = None if name is None else DISTRIBUTIONS.get(name, name)
    return (package,) if package is not None and (any_name or _is_known(package)) else ()


def _is_known(package: str) -> bool:
    """Return whether transformers itself is known to ask for a package."""
    from transformers.dependency_versions_table import deps

    def plain(name: str) -> str:
        return re.split(r"[<>=!~\[]", name)[0].lower().replace("_", "-")

    return plain(package) in {*map(plain, deps), *DISTRIBUTIONS.values(), *OTHERS}


def told(packages: tuple[str, ...]) -> tuple[str, str]:
    """Word the problem that packages are missing (or too old, where they are installed), and its remedy."""
    names = [re.split(r"[<>=!~\[]", package)[0] for package in packages]
    there = all(_is_installed(name) for name in names)
    one = len(packages) == 1
    state = (
        f"of which {'another version' if one else 'other versions'} {'is' if one else 'are'} installed"
        if there
        else ("which is not installed" if one else "which are not all installed")
    )
    return (
        f"it needs {' and '.join(packages)}, {state}",
        f"Run `pip install {'-U ' if there else ''}{' '.join(map(quote, packages))}`, then try again",
    )


def importable(module: str) -> bool:
    """Return whether a module could be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def needs_gpu(fault: BaseException) -> bool:
    """Return whether a fault says that the quantized weights can only be used on a GPU."""
    return any(
        re.search(r"GPU is (required|needed)|requires (a|an?) .*GPU|No GPU|only supported on GPU", str(one))
        for one in _chain(fault)
    )


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """Yield a fault and the exceptions that it was raised from."""
    following: BaseException | None = fault
    seen: set[int] = set()
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
