"""What an audit would cost, and the largest one that fits a number of minutes."""

from dataclasses import asdict

import torch

from fulcra.models import Model
from fulcra.protocol.budget import Budgeted, audit_costs, budgeted
from fulcra.protocol.draw import check_size
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.audit import SettingsEntry
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.cost import CostResult
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import in_tokens_of
from fulcra.protocol.unit_costs import unit_costs
from fulcra.types import Behavior

SCHEMA_VERSION = 1


def planned(
    model: Model,
    behavior: Behavior,
    settings: AuditSettings = AuditSettings(),
    minutes: float | None = None,
    progress: Progress | None = None,
) -> Budgeted:
    """The audit of `settings`, or the largest smaller one that takes `minutes` here, and its cost.

    From unit costs that are timed on stand-in neurons (protocol/unit_costs.py): nothing is written,
    nothing prepared, nothing that may be committed is dosed. InputError where no audit fits. Cost:
    20 s at most on a model that two cores can audit.
    """
    check_size(model, settings.sizes)
    behavior = in_tokens_of(model, behavior)
    with Clock(progress or Silent()).step("calibration", 0):
        costs = unit_costs(model, behavior, settings.seed)
    if minutes is not None:
        return budgeted(model, behavior, settings, costs, minutes)
    return Budgeted(settings, audit_costs(model, behavior, settings, costs), ())


def estimated(model: Model, behavior: Behavior, plan: Budgeted) -> CostResult:
    """The cost of a planned audit: totals, then each step's."""
    steps = plan.steps
    return CostResult(
        schema_version=SCHEMA_VERSION,
        provenance=Provenance.now(),
        model=model.name,
        behavior=behavior.name,
        settings=SettingsEntry(**asdict(plan.settings)),
        threads=torch.get_num_threads(),
        rollouts=sum(step.rollouts for step in steps.values()),
        tokens=sum(step.tokens for step in steps.values()),
        seconds=plan.seconds,
        cpu_seconds=sum(step.cpu_seconds for step in steps.values()),
        bytes=max(step.bytes for step in steps.values()),
        steps=steps,
        concessions=plan.concessions,
    )
