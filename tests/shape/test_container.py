"""The container file takes locked files alone, and ends as a user without rights."""

import re

from tests.conftest import ROOT

LINES = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
INSTRUCTIONS = [line for line in LINES if re.match(r"[A-Z]+ ", line)]
#: What the last image is made of, from its own FROM on.
LAST = INSTRUCTIONS[max(n for n, line in enumerate(INSTRUCTIONS) if line.startswith("FROM ")) :]


def test_every_package_is_installed_by_its_hash_and_fulcra_from_the_source() -> None:
    installs = re.findall(r"pip install ([^&;\n]*)", "\n".join(INSTRUCTIONS))
    assert len(installs) == 4
    *locked, own = installs
    assert all("--require-hashes --no-deps" in line for line in locked)
    assert {name for line in locked for name in re.findall(r"-r (\S+)", line)} <= {
        f"locks/{name}.lock" for name in ("cpu", "cuda", "run")
    }
    assert own.split() == ["--no-deps", "--no-build-isolation", "."]


def test_every_file_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copies = [line.split()[1:-1] for line in INSTRUCTIONS if line.startswith("COPY ")]
    names = [name for line in copies for name in line if not name.startswith(("--from", "/"))]
    assert ignored[0] == "*"
    assert [name for name in names if f"!{name}" not in ignored] == []
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_it_runs_fulcra_as_no_root_and_asks_no_hub() -> None:
    assert any("HF_HUB_OFFLINE=1" in line for line in LAST)
    users = [line for line in LAST if line.startswith("USER ")]
    assert users == ["USER 10001"]
    assert not any(line.startswith(("RUN pip", "RUN apt", "ADD ")) for line in LAST)
    assert LAST[-2:] == ['ENTRYPOINT ["fulcra"]', 'CMD ["--help"]']


def test_python_is_what_the_locks_were_made_for() -> None:
    bases = {line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")}
    assert bases == {"python:3.11-slim"}
