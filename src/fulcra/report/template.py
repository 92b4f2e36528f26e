"""Templates to pages: values escaped but in Markdown, an unknown name an error."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, PackageLoader, StrictUndefined


def filled(template: str, folder: Path | None = None, **values: Any) -> str:
    """The text of a template of `report/templates`, or of `folder`, with its values."""
    escaped = not template.endswith(".md")
    return _environment(folder, escaped).get_template(template).render(**values)


@cache
def _environment(folder: Path | None, escaped: bool) -> Environment:
    """What compiles templates, once each; a file that has changed is compiled anew."""
    environment = Environment(
        loader=PackageLoader("fulcra.report") if folder is None else FileSystemLoader(folder),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    return environment
