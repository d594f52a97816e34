"""The parts of the reference that are made from the code: commands and options, documents, and methods in Python."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import typer

from attn_cli.api import Inspector
from attn_cli.cli.app import app
from attn_cli.questions.schema.measure import names, schema

ARGUMENTS = "Arguments"
CHOICES = re.compile(r"<([^<>|]+(?:\|[^<>|]+)+)>")
DETAILS = re.compile(r"  \[([^\[\]]+)\]$")
WORDS = {
    r"env var: (\S+)": r"Environment variable: `\1`.",
    r"default: (.+)": r"Default: `\1`.",
    r"x>=(\S+)": r"At least \1.",
    r"(\S+)<=x<=(\S+)": r"From \1 to \2.",
    r"required": "Required.",
}
"""Pattern of the brackets at the end of a help text -> the sentence that says the same."""
GROUPS = ("Text", "Selection", "Display", "Output", "Figure", "Model")
"""Groups of options that several commands share."""

Schema = Mapping[str, Any]
Row = tuple[str, str, str]


class Parameter(NamedTuple):
    """An argument or an option, as a help page shows it."""

    group: str
    names: str
    meaning: str

    @property
    def long_name(self) -> str:
        """The name that says most: `--layer`, not `-l`."""
        return str(re.findall(r"--[a-z-]+", self.names)[0])


def commands_and_options() -> str:
    """Describe every command; an option that several of them have stands once, below them."""
    group: Any = typer.main.get_command(app)
    top = group.make_context("attn", [], resilient_parsing=True)
    commands = {name: group.get_command(top, name) for name in group.list_commands(top)}
    contexts = {
        name: command.make_context(name, [], parent=top, resilient_parsing=True) for name, command in commands.items()
    }
    parameters = {name: list(_parameters(command, contexts[name])) for name, command in commands.items()}
    holders: dict[Parameter, list[str]] = {}
    for name, members in parameters.items():
        for parameter in members:
            if parameter.group != ARGUMENTS:
                holders.setdefault(parameter, []).append(name)
    shared = {parameter: users for parameter, users in holders.items() if len(users) > 1}
    lines = ["## attn", "", *_own(_parameters(group, top))]
    for name, command in commands.items():
        lines += _command(command, contexts[name], parameters[name], set(shared))
    lines += ["## Options that commands share", ""]
    for title, options in _by_group(shared):
        lines += [f"### {title}", "", "| option | meaning | commands |", "| --- | --- | --- |"]
        lines += [f"| {option.names} | {option.meaning} | {', '.join(shared[option])} |" for option in options]
        lines.append("")
    return "\n".join(lines)


def _by_group(options: Iterable[Parameter]) -> Iterator[tuple[str, Iterator[Parameter]]]:
    ordered = sorted(options, key=lambda option: GROUPS.index(option.group))
    return groupby(ordered, lambda option: option.group)


def _command(command: Any, context: Any, parameters: list[Parameter], shared: set[Parameter]) -> Iterator[str]:
    yield from (f"## attn {context.info_name}", "", "```text")
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("```", "")
    for paragraph in command.help.split("\n\n"):
        yield from (_cell(" ".join(paragraph.split())), "")
    yield from _own(parameter for parameter in parameters if parameter not in shared)
    told = [
        f"[{title}](#{title.lower()}): {', '.join(f'`{option.long_name}`' for option in options)}."
        for title, options in _by_group(parameter for parameter in parameters if parameter in shared)
    ]
    if told:
        yield from ("Shared with other commands:", "", *(f"- {line}" for line in told), "")
    examples = [line.strip() for line in command.epilog.splitlines() if "attn " in line]
    yield from ("```sh", *examples, "```", "")


def _own(parameters: Iterable[Parameter]) -> Iterator[str]:
    rows = [f"| {parameter.names} | {parameter.meaning} |" for parameter in parameters]
    if rows:
        yield from ("| argument or option | meaning |", "| --- | --- |", *rows, "")


def _parameters(command: Any, context: Any) -> Iterator[Parameter]:
    """List what a command takes, but not `--help`, which all of them take."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or parameter.name == "help":
            continue
        names, meaning = record
        choices = CHOICES.search(names)
        argument = parameter.param_type_name == "argument"
        group = ARGUMENTS if argument else getattr(parameter, "rich_help_panel", None) or "Options"
        shown = re.sub(CHOICES if choices else r" <\w+>$", "", names).strip()
        yield Parameter(group, f"`{shown}`", _meaning(meaning, choices[1].split("|") if choices else []))


def _meaning(text: str, choices: list[str]) -> str:
    """Write choices, and what stands in brackets at the end of a help text, as sentences."""
    details = DETAILS.search(text)
    sentences = [_cell(DETAILS.sub("", text))]
    if not all(choice in text for choice in choices):
        sentences.append(f"One of {', '.join(f'`{choice}`' for choice in choices)}.")
    for detail in details[1].split("; ") if details else ():
        sentences += [
            re.sub(pattern, words, detail) for pattern, words in WORDS.items() if re.fullmatch(pattern, detail)
        ]
    return " ".join(sentences)


def _cell(text: str) -> str:
    """Mark options as code; a bar would end the cell."""
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)", r"`\1`", text).replace("|", "\\|")


def fields_of_documents() -> dict[str, str]:
    """Describe the fields of every document, as tables; under `shared`, those that a record shares with others."""
    schemas = {name: json.loads(schema(name)) for name in names()}
    rows = {name: list(_within(whole, "", whole, {})) for name, whole in schemas.items()}
    others = [row for name, members in rows.items() if name != "record" for row in members]
    lacking = {_key(row) for row in rows["record"] if row not in others}
    shared = [row for row in rows["record"] if _key(row) not in lacking]
    own = {name: [row for row in members if row not in shared] for name, members in rows.items()}
    return {name: _table(members) for name, members in {"shared": shared, **own}.items()}


def _key(row: Row) -> str:
    """Return the key of the document that a row is about, or within."""
    return re.split(r"[.\[]", row[0])[0]


def _table(rows: Iterable[Row]) -> str:
    return "".join(
        ["| field | type | meaning |\n| --- | --- | --- |\n"]
        + [f"| `{path}` | {kind} | {meaning} |\n" for path, kind, meaning in rows]
    )


def _within(owner: Schema, path: str, whole: Schema, known: dict[str, str]) -> Iterator[Row]:
    """List the fields of an object, and all fields within them.

    Args:
        owner: the schema of the object.
        path: where it stands, with a dot at its end if it stands within another.
        whole: the schema of the document.
        known: objects whose fields have been listed, with the place of each; they are not listed again.
    """
    for key, member in owner.get("properties", {}).items():
        node, nullable = _resolved(member, whole)
        inner, inside = node, f"{path}{key}"
        while "items" in inner:
            inner, inside = _resolved(inner["items"], whole)[0], f"{inside}[]"
        fields = json.dumps(inner.get("properties"), sort_keys=True)
        kind = (
            _kind(node, whole)
            + (" or null" if nullable else "")
            + (f", as `{known[fields]}`" if fields in known else "")
        )
        yield f"{path}{key}", kind + ("" if key in owner.get("required", ()) else ", optional"), _text(node)
        if "properties" in inner and fields not in known:
            known[fields] = inside
            yield from _within(inner, f"{inside}.", whole, known)


def _resolved(node: Schema, whole: Schema) -> tuple[dict[str, Any], bool]:
    """Follow references, and tell whether the value may be null."""
    merged, nullable = dict(node), False
    while "$ref" in merged or "anyOf" in merged:
        if "$ref" in merged:
            target = whole["$defs"][merged.pop("$ref").rpartition("/")[2]]
            merged = {**target, **merged}
        else:
            options = merged.pop("anyOf")
            rest = [option for option in options if option.get("type") != "null"]
            nullable = nullable or len(rest) < len(options)
            assert len(rest) == 1, f"a table has no place for {rest}"
            merged = {**rest[0], **merged}
    if isinstance(merged.get("type"), list):
        kinds = [kind for kind in merged["type"] if kind != "null"]
        nullable = nullable or len(kinds) < len(merged["type"])
        merged["type"] = " or ".join(kinds)
    return merged, nullable


def _kind(node: Schema, whole: Schema) -> str:
    if "const" in node:
        return f"`{json.dumps(node['const'], ensure_ascii=False)}`"
    if "enum" in node:
        choices = [choice for choice in node["enum"] if choice is not None]
        return ", ".join(f"`{json.dumps(choice, ensure_ascii=False)}`" for choice in choices)
    if "items" in node:
        inner, nullable = _resolved(node["items"], whole)
        return f"array of {_kind(inner, whole)}{' or null' if nullable else ''}"
    return str(node.get("type", "any"))


def _text(node: Schema) -> str:
    return " ".join(str(node.get("description", "")).split()).replace("|", "\\|")


def methods_of_inspector() -> str:
    """Describe the public methods and properties of an `Inspector`, as the rows of a table."""
    rows = []
    for name, member in vars(Inspector).items():
        if name.startswith("_"):
            continue
        said = inspect.getdoc(member) or ""
        summary = " ".join(said.partition("\n\n")[0].split())
        returned = re.search(r"^Returns:\n((?: .*\n?)+)", said, re.MULTILINE)
        if returned is not None:  # after what kind of answer it is, what is in it
            holds = re.sub("^its ", "The answer's ", " ".join(returned[1].split()).rpartition("; ")[2])
            summary = f"{summary} {holds}"
        rows.append(f"| `{name}{_parameters_of(member)}` | {summary} |\n")
    return "".join(rows)


def _parameters_of(member: object) -> str:
    """Write the parameters that have a place of their own; the others are dots."""
    if not inspect.isfunction(member):
        return ""
    parameters = [one for one in inspect.signature(member).parameters.values() if one.name != "self"]
    placed = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    return f"({', '.join([*placed, '...'] if len(placed) < len(parameters) else placed)})"
