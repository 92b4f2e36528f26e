"""The versions of torch and transformers that are installed, held against the oldest that run."""

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from fulcra.errors import ModelError

#: The oldest releases that are supported, as pyproject.toml asks for them.
OLDEST = {"torch": "2.6", "transformers": "5.19"}


def require_installed() -> None:
    """ModelError where torch or transformers is older than fulcra runs on; neither is imported.

    pip holds to the same bounds when it installs fulcra, but not when it installs something else
    later; an import that fails half-way names neither the version nor the cure. A library that no
    installer wrote down has no version here, and is left to its import.
    """
    for name, oldest in OLDEST.items():
        installed = _version(name)
        if installed and Version(installed) < Version(oldest):
            raise ModelError(
                f"{name} {installed} is installed, and fulcra needs {oldest} or newer;"
                f" pip install '{name}>={oldest}'"
            )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
