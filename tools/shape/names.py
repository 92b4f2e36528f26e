"""Words that say nothing as the name of a value: filler participles and pronouns."""

import ast

from tools.shape.source import Source

BANNED = frozenset("found one some at said told seen known kept given asked".split())


def banned_names(sources: list[Source]) -> tuple[str, ...]:
    """Where a variable or parameter has a banned name; fields of classes are not looked at."""
    return tuple(place for source in sources for place in _places(source))


def _places(source: Source) -> list[str]:
    fields = _fields(source.tree)
    return [
        source.place(node, name)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name | ast.arg | ast.ExceptHandler)
        and (name := _bound(node)) in BANNED
        and node not in fields
    ]


def _bound(node: ast.Name | ast.arg | ast.ExceptHandler) -> str:
    """The name that a node gives to a value, empty where it only reads one."""
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.ExceptHandler):
        return node.name or ""
    return node.id if isinstance(node.ctx, ast.Store) else ""


def _fields(tree: ast.Module) -> set[ast.expr]:
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    statements = (statement for node in classes for statement in node.body)
    return {node.target for node in statements if isinstance(node, ast.AnnAssign)}
