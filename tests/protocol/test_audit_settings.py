"""Settings that no audit can be made of are refused where they are made."""

import pytest

from fulcra import AuditSettings
from fulcra.errors import InputError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"screen": "nosuch"}, "screen 'nosuch'; expected 'window', 'contrastive'"),
        ({"measure": "half"}, "measure 'half'; expected 'full', 'curtailed', 'sequential'"),
        ({"neurons": -1}, "neurons -1; expected 0 or more"),
        ({"gains": ()}, r"gains \(\); expected one or more, finite and above 0"),
        ({"gains": (0.3, float("nan"))}, "expected one or more, finite and above 0"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^audit settings: .*{message}"):
        AuditSettings(**settings)  # type: ignore[arg-type]
