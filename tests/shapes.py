"""Calls are checked against their signatures while tests run: types by beartype, sizes of arrays by jaxtyping.

In each test the first calls of each function are checked. A search for a translation calls small functions 10,000 times
alike, and checking every one took a third of all the time.

jaxtyping has a hook for that, too, but it compiles four functions for each function, nested ones at each turn, and goes
through the parameters of a call three times: half of the time that the tests took. Here each type has one test.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import cache, wraps
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CodeType, FunctionType, ModuleType
from typing import Any, Unpack, cast, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import jaxtyped

__all__ = ["check_calls", "checked", "start_test"]

MOST_CALLS = 100
"""Calls of one function that are checked in one test."""

Test = type | Callable[[object], None]

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Decorator that checks types; as for mypy, a whole number may stand for a float."""
_sizes = jaxtyped("context")
"""Within it a dimension's name stands for one size."""


def check_calls(package: str) -> None:
    """Check each call of a function and what each dataclass is made of, in a package that is imported hereafter."""
    # Just before the finder of source files, so that what measures coverage can wrap it.
    sys.meta_path.insert(-1, cast(Any, _Finder(package)))


def start_test() -> None:
    """Check the calls of all functions again, however often they have been called."""
    _CALLS.clear()


def checked(subject: Any) -> Any:
    """Return a function that checks its calls, or a dataclass that checks what it is made of."""
    if not isinstance(subject, type):
        return _checking(subject)
    if is_dataclass(subject) and "__init__" in vars(subject) and not hasattr(subject.__init__, "__wrapped__"):
        subject.__init__ = _checking(subject.__init__)  # type: ignore[method-assign]
    return subject


def _checking(function: Any) -> Any:
    code = function.__code__

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        calls = _CALLS.get(id(code), 0)
        if calls == MOST_CALLS or jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        _CALLS[id(code)] = calls + 1
        # A nested function is made anew at each call around it, but its code is the same, and so is what is checked.
        signature = _SIGNATURES.get(id(code)) or _SIGNATURES.setdefault(id(code), _Signature(function))
        try:
            if not signature.has_sizes:
                return signature.call(function, args, kwargs)
            with _sizes:
                return signature.call(function, args, kwargs)
        except BeartypeCallHintViolation as fault:
            fault.add_note(f"in a call of {function.__module__}.{function.__qualname__}")
            raise

    return wrapper


class _Signature:
    """The checks of the arguments and the result of a function."""

    def __init__(self, function: FunctionType) -> None:
        self.code = code = function.__code__  # as long as it is kept, nothing else has its id
        named = code.co_argcount + code.co_kwonlyargcount
        rest = named + bool(code.co_flags & CO_VARARGS)
        options = rest + bool(code.co_flags & CO_VARKEYWORDS)
        hints = [_hint(function, name) for name in (*code.co_varnames[:options], "return")]
        self.has_sizes = any("jaxtyping" in repr(hint) for hint in hints)
        *tests, self.result = map(_test, hints)
        self.positional = tests[: code.co_argcount]
        self.named = dict(zip(code.co_varnames[:named], tests[:named], strict=True))
        self.rest = tests[named] if rest > named else object
        self.options = tests[rest] if options > rest else object

    def call(self, function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function that has this signature.

        Raises:
            BeartypeCallHintViolation: an argument or the result is not what it must be.
        """
        __tracebackhide__ = True
        # In the order of the signature, in which names of sizes stand before the sums that they are in.
        for value, test in zip(args, self.positional, strict=False):
            if test.__class__ is not type or not isinstance(value, test):
                _require(value, test)
        if self.rest is not object:
            for value in args[len(self.positional) :]:
                _require(value, self.rest)
        if kwargs:
            for name, test in self.named.items():
                if name in kwargs:
                    _require(kwargs[name], test)
            if self.options is not object:
                for name in kwargs.keys() - self.named.keys():
                    _require(kwargs[name], self.options)
        value = function(*args, **kwargs)
        _require(value, self.result)
        return value


_SIGNATURES: dict[int, _Signature] = {}
_CALLS: dict[int, int] = {}
"""Number of calls of each function that were checked in this test."""


def _hint(function: FunctionType, name: str) -> Any:
    """The type of a parameter, or of the result; `object` where it has none, or one that only type checkers import."""
    hint = function.__annotations__.get(name, object)
    if isinstance(hint, str):
        try:
            hint = eval(hint, function.__globals__)  # noqa: S307
        except NameError:
            return object
    origin: Any = get_origin(hint)
    # beartype does not look into the dictionaries that stand for options.
    return object if hint is Any or origin is Unpack else hint


def _test(hint: Any) -> Test:
    """The quickest test of a type: the type itself where it is a plain class, otherwise a function of beartype's."""
    plain = type(None) if hint is None else hint
    return plain if type(plain) is type and plain not in (float, complex) else _by_beartype(hint)


def _require(value: object, test: Test) -> None:
    if test.__class__ is not type:
        test(value)
    elif not isinstance(value, test):
        _by_beartype(test)(value)


@cache
def _by_beartype(hint: Any) -> Callable[[object], None]:
    def test(value: object) -> None:
        """Accept what beartype lets through."""

    test.__annotations__ = {"value": hint}
    return _check(test)


def _comes_first(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring or an import from the future."""
    return isinstance(statement, ast.Expr) or (
        isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
    )


class _Marker(ast.NodeTransformer):
    """Decorate every function and every class."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        after = 0
        while after < len(node.body) and _comes_first(node.body[after]):
            after += 1
        node.body[after:after] = ast.parse(f"from {__name__} import checked as __checked__").body
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        # Innermost: other decorators may take the annotations away.
        node.decorator_list.append(ast.Name("__checked__", ast.Load()))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        # Outermost: it must be a dataclass by then.
        node.decorator_list.insert(0, ast.Name("__checked__", ast.Load()))
        return node


class _Loader(SourceFileLoader):
    """Load a module with its marks, which are kept in no cache that others read."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = _Marker().visit(ast.parse(self.get_data(path), path))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _Finder:
    """Find the modules of a package."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.package and not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec
