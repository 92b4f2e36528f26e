"""Two finished audits of equally polite organisms, and policies of a few lines."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
DENSE, SPARSE = EVIDENCE / "audit-dense", EVIDENCE / "audit-sparse"

Written = Callable[..., Path]


@pytest.fixture
def policy_file(tmp_path: Path) -> Written:
    """A function that writes limits to a YAML file."""

    def write(**limits: object) -> Path:
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump(limits))
        return path

    return write
