"""Windows closed and doses noticed: adapters that harden or mend, a monitor for a served model."""
