"""A plain SVG drawing, for pages that run no script."""

from collections.abc import Iterable
from html import escape


def drawing(width: float, height: float, parts: Iterable[str]) -> str:
    """The drawing of its parts on white ground, as a file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="sans-serif" font-size="12">\n<rect width="100%"'
        ' height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def beside_axis(words: str, middle: float) -> str:
    """The words of an upright axis, read from below, around the height of its middle."""
    return (
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14'
        f' {middle})">{escape(words)}</text>'
    )
