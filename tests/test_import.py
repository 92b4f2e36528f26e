"""What `import fulcra` brings along."""

import subprocess
import sys


def test_what_few_commands_use_is_not_loaded() -> None:
    rare = {"sklearn", "statsmodels", "datasets", "lm_eval", "lingua"}
    script = f"import sys, fulcra; print(sorted({rare} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
