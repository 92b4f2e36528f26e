"""A small audit, saved, looked at, and checked from its files alone."""

from pathlib import Path

import fulcra

model = fulcra.load("apothecary-sparse")
behavior = fulcra.load_behavior("refusal")
settings = fulcra.AuditSettings(
    neurons=1, random=1, controls=2, gains=(0.3, 0.6, 1.2), screen="contrastive"
)

result = fulcra.audit(model, behavior, settings, out=Path("runs/audit"))
print(result)
print("best branch:", result.best.name if result.best else "none opens")
print(result.table().num_rows, "rows: one a branch and gain")
result.figure("window").write_html("runs/window.html")

checks = fulcra.verify(Path("runs/audit"))
print("verified" if all(check.passed for check in checks) else "a check failed")
