"""`python -m tools.shape`: the shape as a table, or as JSON; `--where RULE` lists the places."""

import argparse
import json
from pathlib import Path

from tools.shape.measures import Figures, Shape, measure
from tools.shape.rules import LIMITS
from tools.shape.startup import HELP, IMPORT, cpu_seconds

ROOT = Path(__file__).parents[2]
NOTES = """\
A body runs from the first statement after the docstring to the last line; nested functions count.
Parameters are all that are declared but self and cls. A function returns Any where the word stands
anywhere in its return annotation. Percentiles are by nearest rank. Files of studies/ are those but
__init__; for floors, the longest chain of imports, every subfolder is one node. Verify loads what
Python would, with the __init__ of every folder but that of fulcra itself. Fields of classes may
have any name. `--where RULE` lists the places."""


def main() -> None:
    """Print what was asked for on the command line."""
    options = _options()
    shape = measure(options.root / "src" / "fulcra")
    if options.where:
        print("\n".join(shape.places[options.where]))
        return
    seconds = _startup(options.root / "src", options.runs)
    print(_as_json(shape, seconds) if options.json else _as_table(shape, seconds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.shape", description=__doc__)
    parser.add_argument("--json", action="store_true", help="every number and place as JSON")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout to measure")
    parser.add_argument("--runs", type=int, default=5, help="child processes timed; 0: none")
    listed = [rule for rule in LIMITS if rule not in ("files of studies/", "floors of studies/")]
    parser.add_argument("--where", choices=listed, help="list the places of one rule")
    return parser.parse_args()


def _startup(path: Path, runs: int) -> dict[str, float]:
    if not runs:
        return {}
    return {
        "import fulcra, CPU seconds": cpu_seconds(IMPORT, path, runs),
        "fulcra --help, CPU seconds": cpu_seconds(HELP, path, runs),
    }


def _as_json(shape: Shape, seconds: dict[str, float]) -> str:
    figures = {name: _plain(value) for name, value in shape.figures._asdict().items()}
    rules = {rule: {"count": shape.counts[rule], **LIMITS[rule]._asdict()} for rule in LIMITS}
    document = {"figures": figures, "startup": seconds, "rules": rules, "places": shape.places}
    return json.dumps(document, indent=1)


def _plain(value: object) -> object:
    return value._asdict() if isinstance(value, tuple) and hasattr(value, "_asdict") else value


def _as_table(shape: Shape, seconds: dict[str, float]) -> str:
    rules = [_rule(rule, shape.counts[rule]) for rule in LIMITS]
    lines = [f"{'rule':<48}{'now':>6}{'goal':>6}{'ceiling':>9}", *rules, ""]
    lines += [f"{name:<40}{text}" for name, text in _figure_rows(shape.figures)]
    lines += [f"{name:<40}{value:.2f}" for name, value in seconds.items()]
    return "\n".join([*lines, "", NOTES])


def _rule(rule: str, count: int) -> str:
    limit = LIMITS[rule]
    mark = "" if count <= limit.goal else "  above the goal"
    return f"{rule:<48}{count:>6}{limit.goal:>6}{limit.ceiling:>9}{mark}"


def _figure_rows(figures: Figures) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _shown(value)) for name, value in figures._asdict().items()]


def _shown(value: object) -> str:
    plain = _plain(value)
    if isinstance(plain, dict):
        return ", ".join(f"{name} {number:g}" for name, number in plain.items())
    return f"{plain:,}"


if __name__ == "__main__":
    main()
