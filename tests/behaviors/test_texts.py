"""Text files: the pieces are the file, and what cannot be read is refused in one line."""

import hashlib
from pathlib import Path

import pytest

from fulcra.behaviors import texts
from fulcra.behaviors.texts import pieces, text_files
from fulcra.errors import InputError

TEXT = "one line\r\nand another, longer one é\n" * 40 + "x" * 50 + "\nlast"


@pytest.mark.parametrize("size", [1, 7, 30, 64, 10_000])
def test_the_pieces_are_the_text_and_none_is_longer_than_three(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "PIECE", size)
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    (file,) = text_files([path])
    parts = list(pieces(file))
    assert "".join(parts) == TEXT
    assert max(map(len, parts)) <= 3 * size
    assert (file.sha256, file.characters) == (hashlib.sha256(TEXT.encode()).hexdigest(), len(TEXT))


def test_a_piece_ends_at_a_line_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "PIECE", 60)
    path = tmp_path / "text.txt"
    path.write_text("one line of text\n" * 30)
    assert all(piece.endswith("\n") for piece in pieces(text_files([path])[0]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file holds no text (0 bytes)"),
        (b" \n\t ", "the file holds no text (4 bytes)"),
        (b"good\n\xff\xfe", "not UTF-8, byte 0xff at offset 5; convert the file"),
        (b"cut \xc3", "not UTF-8, byte 0xc3 at offset 4"),
        (b"x" * (1 << 20) + b"\xc3" + b"(", "byte 0xc3 at offset 1048576"),
        (b"x" * ((1 << 20) - 1) + b"\xc3" + b"(", "byte 0xc3 at offset 1048575"),
    ],
)
def test_an_unreadable_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        text_files([path])
    assert message in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing there"):
        text_files([tmp_path / "none.txt"])
    with pytest.raises(InputError, match="found a folder there"):
        text_files([tmp_path])
    with pytest.raises(InputError, match="no file was given"):
        text_files([])
