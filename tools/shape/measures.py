"""The shape of a source tree as one value: what the rules limit, and figures beside them."""

from pathlib import Path
from typing import NamedTuple

from tools.shape import rules
from tools.shape.functions import Function, Public, functions, publics
from tools.shape.imports import Closure, Room, circle, closure, import_graph, room
from tools.shape.names import banned_names
from tools.shape.source import (
    Source,
    Spread,
    files_longer,
    lines_wider,
    lines_with,
    mentions,
    read_sources,
    spread,
    string_subscripts,
)

STUDIES = "fulcra.studies"
VERIFY = "fulcra.studies.verify"


class Figures(NamedTuple):
    """Numbers that say how the source is, and that no rule limits."""

    files: int
    lines: int
    file_lines: Spread
    files_over_250: int
    functions: int
    body_lines: Spread
    functions_of_six_parameters: int
    mentions_of_dict_str_any: int
    string_subscripts: int
    public_functions: int
    public_functions_without_docstring: int
    studies: Room
    verify_files: int
    verify_lines: int


class Shape(NamedTuple):
    """Figures, and for each rule of `rules.LIMITS` how often it is met with, and where."""

    figures: Figures
    counts: dict[str, int]
    #: Empty for counts that are no list of places: files and floors of a room.
    places: dict[str, tuple[str, ...]]


def measure(package: Path) -> Shape:
    """The shape of a package's folder, `src/fulcra` of a checkout."""
    sources = read_sources(package)
    graph = import_graph(package.parent)
    studies, loaded = room(graph, STUDIES), closure(graph, VERIFY)
    defined, public = functions(sources), publics(sources)
    places = {
        **_text_places(sources, package),
        **_function_places(defined, public),
        "modules in circles": circle(graph),
        "heavy packages loaded by verify": _heavy(loaded),
        "variables and parameters with banned names": banned_names(sources),
    }
    in_studies = [source.path for source in sources if source.path.startswith("studies/")]
    commands = sum(not path.endswith("__init__.py") for path in in_studies)
    counts = {"files of studies/": commands, "floors of studies/": studies.floors}
    counts |= {rule: len(where) for rule, where in places.items()}
    return Shape(_figures(sources, defined, public, studies, loaded), counts, places)


def _text_places(sources: list[Source], package: Path) -> dict[str, tuple[str, ...]]:
    folders = {(package / source.path).parent for source in sources}
    bare = (folder for folder in sorted(folders) if not (folder / "__init__.py").is_file())
    return {
        "files over 400 lines": files_longer(sources, rules.FILE_LINES),
        "lines over 100 columns": lines_wider(sources, rules.COLUMNS),
        "fmt: skip": lines_with(sources, "# fmt: skip"),
        "folders without __init__.py": tuple(f.relative_to(package).as_posix() for f in bare),
    }


def _function_places(defined: list[Function], public: list[Public]) -> dict[str, tuple[str, ...]]:
    long = (f for f in defined if f.body > rules.BODY_LINES)
    wide = (f for f in defined if f.parameters > rules.PARAMETERS)
    short = (p for p in public if 0 < p.words <= rules.DOCSTRING_WORDS)
    return {
        "function bodies over 40 lines": tuple(f"{f.place} {f.body} lines" for f in long),
        "functions over 6 parameters outside cli/": tuple(
            f"{f.place} {f.parameters} parameters" for f in wide if not f.place.startswith("cli/")
        ),
        "functions returning Any": tuple(f.place for f in defined if f.returns_any),
        "public names with docstrings of 1 to 4 words": tuple(p.place for p in short),
    }


def _heavy(loaded: Closure) -> tuple[str, ...]:
    reached = loaded.modules | loaded.outside
    return tuple(
        name
        for name in rules.NOT_FOR_VERIFY
        if any(module == name or module.startswith(f"{name}.") for module in reached)
    )


def _figures(
    sources: list[Source],
    defined: list[Function],
    public: list[Public],
    studies: Room,
    loaded: Closure,
) -> Figures:
    lengths = {source.path: len(source.lines) for source in sources}
    spoken = [p for p in public if p.is_function]
    verify = [length for path, length in lengths.items() if _module(path) in loaded.modules]
    return Figures(
        files=len(sources),
        lines=sum(lengths.values()),
        file_lines=spread(list(lengths.values())),
        files_over_250=len(files_longer(sources, rules.FILE_HABIT)),
        functions=len(defined),
        body_lines=spread([f.body for f in defined]),
        functions_of_six_parameters=sum(f.parameters == rules.PARAMETERS for f in defined),
        mentions_of_dict_str_any=mentions(sources, "dict[str, Any]"),
        string_subscripts=string_subscripts(sources),
        public_functions=len(spoken),
        public_functions_without_docstring=sum(p.words == 0 for p in spoken),
        studies=studies,
        verify_files=len(verify),
        verify_lines=sum(verify),
    )


def _module(path: str) -> str:
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(("fulcra", *parts))
