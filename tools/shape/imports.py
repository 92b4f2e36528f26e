"""Who imports whom: floors and arrows within a room, what a module brings along, circles.

Imports inside functions count like others; those for type checkers alone do not.
"""

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import grimp

PACKAGE = "fulcra"


class Room(NamedTuple):
    """A folder seen from inside: each of its files one node, and each subfolder one."""

    nodes: int
    #: The longest chain of imports, counted in nodes.
    floors: int
    arrows: int


class Closure(NamedTuple):
    """What Python loads for one module, the package's own top level left out."""

    #: Modules of the package, the `__init__` of every folder above them included.
    modules: frozenset[str]
    #: Top-level names of other packages.
    outside: frozenset[str]


def import_graph(source: Path) -> grimp.ImportGraph:
    """The imports between all modules of the package in a folder, other packages by name."""
    sys.path.insert(0, str(source))
    try:
        return grimp.build_graph(
            PACKAGE,
            include_external_packages=True,
            exclude_type_checking_imports=True,
            cache_dir=None,
        )
    finally:
        sys.path.remove(str(source))


def room(graph: grimp.ImportGraph, folder: str) -> Room:
    """Floors and arrows of a folder such as `fulcra.studies`, its own `__init__` left out."""
    arrows: dict[str, set[str]] = {}
    for module in graph.find_descendants(folder):
        node = _node(module, folder)
        targets = {_node(t, folder) for t in _imported(graph, module) if _below(t, folder)}
        arrows.setdefault(node, set()).update(targets - {node})
    return Room(len(arrows), _longest_chain(arrows), sum(map(len, arrows.values())))


def closure(graph: grimp.ImportGraph, module: str) -> Closure:
    """All that is loaded with a module, directly or through others."""
    modules, outside, waiting = set[str](), set[str](), {module}
    while waiting:
        loaded = waiting.pop()
        modules.add(loaded)
        imports = _imported(graph, loaded)
        outside |= {name for name in imports if not _below(name, PACKAGE) and name != PACKAGE}
        ours = {name for name in imports if name not in outside} | _parents(loaded)
        waiting |= ours - modules
    return Closure(frozenset(modules), frozenset(outside))


def circle(graph: grimp.ImportGraph) -> tuple[str, ...]:
    """One circle of imports, empty where there is none."""
    modules = (module for module in graph.modules if not graph.is_module_squashed(module))
    try:
        TopologicalSorter({module: _imported(graph, module) for module in modules}).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def _imported(graph: grimp.ImportGraph, module: str) -> set[str]:
    return graph.find_modules_directly_imported_by(module)


def _below(module: str, folder: str) -> bool:
    return module.startswith(f"{folder}.")


def _node(module: str, folder: str) -> str:
    return module.removeprefix(f"{folder}.").split(".")[0]


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:depth]) for depth in range(2, len(parts))}


def _longest_chain(arrows: dict[str, set[str]]) -> int:
    floors: dict[str, int] = {}
    for node in TopologicalSorter(arrows).static_order():
        floors[node] = 1 + max((floors[target] for target in arrows[node]), default=0)
    return max(floors.values(), default=0)
