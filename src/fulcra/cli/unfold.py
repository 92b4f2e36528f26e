"""Options that several commands share, written once as the fields of a value."""

import inspect
from collections.abc import Callable, Iterator
from typing import NamedTuple, get_type_hints

Parameter = inspect.Parameter


class Shared(NamedTuple):
    """A parameter of a command that stands for the options of its kind's fields."""

    name: str
    kind: type[NamedTuple]

    def options(self) -> Iterator[Parameter]:
        """One option for each field, with its annotation and default."""
        hints = get_type_hints(self.kind, include_extras=True)
        defaults = self.kind._field_defaults
        for field in self.kind._fields:
            default = defaults.get(field, Parameter.empty)
            yield Parameter(field, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field])


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its parameters that are named tuples.

    typer reads options from the signature, which is written here: what has no default stands first.
    """
    shared: list[Shared] = []
    parameters: list[Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if is_shared(parameter):
            shared.append(Shared(parameter.name, parameter.annotation))
            parameters.extend(shared[-1].options())
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))

    def run(**options: object) -> None:
        values = {
            name: kind._make(options.pop(field) for field in kind._fields) for name, kind in shared
        }
        command(**values, **options)

    parameters.sort(key=lambda parameter: parameter.default is not Parameter.empty)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def is_shared(parameter: Parameter) -> bool:
    """Is this a named tuple of options, not an option of the command's own."""
    kind = parameter.annotation
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
