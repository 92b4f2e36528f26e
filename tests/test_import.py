"""What `import fulcra` brings along."""

import subprocess
import sys


def test_what_few_commands_use_is_not_loaded() -> None:
    said = (
        "import sys, fulcra; print(sorted({'sklearn', 'statsmodels', 'datasets', 'lm_eval'} &"
        " set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", said], check=True, capture_output=True, text=True
        ).stdout.strip()
        == "[]"
    )
