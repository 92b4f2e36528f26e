"""A claim of a paper or of ours, and what became of it."""

from typing import Literal, NamedTuple

Verdict = Literal["confirmed", "corrected", "refuted", "not testable here"]


class Claim(NamedTuple):
    """One claim, what became of it, in what words, and the pages the figures stand on."""

    claim: str
    verdict: Verdict
    here: str
    pages: tuple[str, ...]

    def row(self) -> str:
        """The claim as a row of a table."""
        return f"| {self.claim} | **{self.verdict}** | {self.here} | {', '.join(self.pages)} |"
