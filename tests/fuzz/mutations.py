"""Inputs made from sound ones: bytes changed, lines moved, values of every wrong kind put in."""

from hypothesis import strategies as st

#: What is put in anywhere: each has broken some reader of files.
SPLINTERS = (
    *("\0", "\\0", "\ufeff", "\u2028", "\\ud800", "\r", "\t", "é", "\U0001f600", "'", '"', "\\"),
    *("[", "{", "]", "}", "[" * 70, "{a: " * 70, "- " * 70, "((" * 200, ":", ",", "|", ">", "%"),
    *("&a ", "*a", "&a [*a]", "<<: *a", "? [1]\n: 2\n", "---\n", "...\n", "!!int x", "!!binary x"),
    *("!!float x", "!!timestamp x", "!!bool x", "!!set", "!!omap [a]", "!!python/name:os.system "),
    *("9" * 5000, "0x" + "f" * 9000, "1:1" * 500, "-1", "1e999", ".nan", ".inf", "NaN", "null"),
    *(
        "2026-99-99",
        "true",
        "[]",
        "{}",
        "{topic}",
        "x" * 5000,
        "../../..",
        "L1.N1+",
        "(?P<n",
        "a{9",
    ),
    *("\x1b[31m", "\x7f", "=", "~", "@", "`", "<script>", "$(true)", "%s", "{0}", "-", "--"),
)

splinters = st.sampled_from(SPLINTERS) | st.text(max_size=12)
cuts = st.floats(min_value=0, max_value=1)


def _put(text: str, first: float, second: float, splinter: str) -> str:
    start, end = sorted((round(first * len(text)), round(second * len(text))))
    return text[:start] + splinter + text[end:]


def _insert(text: str, first: float, second: float, splinter: str) -> str:
    start = round(first * len(text))
    return text[:start] + splinter + text[start:]


def _repeat(text: str, first: float, second: float, splinter: str) -> str:
    start, end = sorted((round(first * len(text)), round(second * len(text))))
    return text[:end] + text[start:]


def _value(text: str, first: float, second: float, splinter: str) -> str:
    """The text with what follows the colon of one line replaced."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return splinter
    i = min(int(first * len(lines)), len(lines) - 1)
    key, colon, value = lines[i].partition(":")
    end = ",\n" if value.rstrip().endswith(",") else "\n"
    lines[i] = f"{key}: {splinter}{end}" if colon else f"{splinter}\n"
    return "".join(lines)


def _without_line(text: str, first: float, second: float, splinter: str) -> str:
    lines = text.splitlines(keepends=True)
    i = int(first * len(lines))
    return "".join(lines[:i] + lines[i + 1 :])


MUTATIONS = (_put, _insert, _repeat, _value, _value, _value, _without_line)


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[str, ...]) -> str:
    """A sound text after up to three mutations, or any text at all."""
    if draw(st.integers(0, 15)) == 0:
        return draw(st.text(max_size=200))
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        mutation = draw(st.sampled_from(MUTATIONS))
        text = mutation(text, draw(cuts), draw(cuts), draw(splinters))
    return text
