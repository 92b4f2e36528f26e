"""Functions and public names: how long, how many parameters, what they promise and explain."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from tools.shape.source import Source

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
RECEIVERS = ("self", "cls")


class Function(NamedTuple):
    """A function or method, nested ones included."""

    place: str
    #: From the first statement after the docstring to the last line; 0 where there is only a
    #: docstring.
    body: int
    #: All that are declared, `*args` and `**kwargs` with them, but self and cls.
    parameters: int
    #: `Any` stands somewhere in the return annotation: `dict[str, Any]`, `Callable[..., Any]`.
    returns_any: bool


class Public(NamedTuple):
    """A class, function or method that no underscore hides, itself or through its class."""

    place: str
    #: Of the docstring; 0 where there is none.
    words: int
    is_function: bool


def functions(sources: list[Source]) -> list[Function]:
    """Every function of the files, in their order."""
    return [
        _function(source, node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, DEFINITIONS)
    ]


def publics(sources: list[Source]) -> list[Public]:
    """The public names of the files that can carry a docstring, but modules and overloads."""
    return [public for source in sources for public in _publics(source, source.tree)]


def _function(source: Source, node: Definition) -> Function:
    returns = ast.unparse(node.returns) if node.returns else ""
    return Function(
        place=source.place(node, node.name),
        body=_body(node),
        parameters=sum(name not in RECEIVERS for name in _parameters(node.args)),
        returns_any=re.search(r"\bAny\b", returns) is not None,
    )


def _body(node: Definition) -> int:
    statements = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def _parameters(arguments: ast.arguments) -> list[str]:
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [arg.arg for arg in (*plain, arguments.vararg, arguments.kwarg) if arg]


def _publics(source: Source, parent: ast.Module | ast.ClassDef) -> Iterator[Public]:
    for node in parent.body:
        if not isinstance(node, (*DEFINITIONS, ast.ClassDef)) or _hidden(node):
            continue
        words = len((ast.get_docstring(node) or "").split())
        yield Public(source.place(node, node.name), words, isinstance(node, DEFINITIONS))
        if isinstance(node, ast.ClassDef):
            yield from _publics(source, node)


def _hidden(node: Definition | ast.ClassDef) -> bool:
    overloads = ("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
    return node.name.startswith("_") or any(overloads)
