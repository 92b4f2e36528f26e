"""A signature and a time stamp: whoever has the programs of the system checks them by hand, too."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.recheck.witnesses import signature_check, write_stamp_query
from fulcra.protocol.seal import read_seal
from fulcra.protocol.witness import programs
from fulcra.protocol.witness.signature import SIGNATURE, sign
from fulcra.store import COMMITMENT, SEAL, read_json, write_json, write_text
from fulcra.studies.verify import second_look

Key = Callable[..., Path]


def root_of(folder: Path) -> str:
    seal = read_seal(folder)
    assert seal is not None
    return seal.root


def shell(*command: str | Path, text: bytes = b"") -> bytes:
    ended = subprocess.run([*map(str, command)], input=text, capture_output=True, check=True)
    return ended.stdout + ended.stderr


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """A new ssh key, with a passphrase where one is given."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen, which is not installed")

    def make(name: str, passphrase: str = "") -> Path:
        path = tmp_path / name
        shell("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path)
        return path

    return make


def allowed(path: Path, *keys: Path) -> Path:
    """An allowed-signers file in which every key belongs to its file's name."""
    keys_of = {key.name: key.with_suffix(".pub").read_text() for key in keys}
    path.write_text("".join(f"{name}@example.org {public}" for name, public in keys_of.items()))
    return path


def test_a_signature_is_of_this_root_by_this_signer(run_copy: Path, key: Key) -> None:
    anna, bert = key("anna"), key("bert")
    signers = allowed(run_copy.parent / "signers", bert, anna)
    assert sign(run_copy, root_of(run_copy), anna) == run_copy / SIGNATURE
    root = root_of(run_copy)[:12]
    assert signature_check(run_copy, signers) == (
        "signature",
        True,
        f"of the root {root} by anna@example.org",
    )
    assert not signature_check(run_copy, allowed(run_copy.parent / "only", bert)).passed
    sign(run_copy, "0" * 64, anna)
    check = signature_check(run_copy, signers)
    assert (check.passed, check.detail) == (False, f"of the root {root} by none of {signers}")


def test_a_signature_is_checked_by_hand_as_the_docs_say(run_copy: Path, key: Key) -> None:
    anna = key("anna")
    sign(run_copy, root_of(run_copy), anna)
    signers = allowed(run_copy.parent / "signers", anna)
    about = ("-f", signers, "-I", "anna@example.org", "-n", "fulcra", "-s", run_copy / SIGNATURE)
    said = shell("ssh-keygen", "-Y", "verify", *about, text=f"{root_of(run_copy)}\n".encode())
    assert b'Good "fulcra" signature for anna@example.org' in said


def test_a_signature_for_something_else_is_none(run_copy: Path, key: Key) -> None:
    anna, message = key("anna"), run_copy.parent / "message"
    message.write_text(f"{root_of(run_copy)}\n")
    shell("ssh-keygen", "-Y", "sign", "-f", anna, "-n", "email", message)
    shutil.copy(f"{message}.sig", run_copy / SIGNATURE)
    assert not signature_check(run_copy, allowed(run_copy.parent / "signers", anna)).passed


@pytest.mark.parametrize("content", ["", "garbage\n", "\x00", "-----BEGIN SSH SIGNATURE-----\n"])
def test_what_is_no_signature_and_what_names_no_signers_fail(
    run_copy: Path, key: Key, content: str
) -> None:
    anna = key("anna")
    signers = allowed(run_copy.parent / "signers", anna)
    write_text(run_copy / SIGNATURE, content)
    assert not signature_check(run_copy, signers).passed
    sign(run_copy, root_of(run_copy), anna)
    write_text(signers, content)
    assert not signature_check(run_copy, signers).passed


def test_a_signature_stands_beside_the_seal_and_is_named(run_copy: Path, key: Key) -> None:
    signers = allowed(run_copy.parent / "signers", key("anna"))
    assert signature_check(run_copy, signers).detail.startswith("no seal.json.sig; `fulcra sign")
    sign(run_copy, root_of(run_copy), key("bert"))
    look = second_look(run_copy)
    lines = {line.name: line.detail for line in look.coverage if line.level == "not covered"}
    assert lines == {SIGNATURE: "a signature of the seal's root, checked by --signers alone"}
    (run_copy / SEAL).unlink()
    assert not signature_check(run_copy, signers).passed


def test_a_file_of_signers_that_is_missing_is_refused(run_copy: Path, key: Key) -> None:
    sign(run_copy, root_of(run_copy), key("anna"))
    with pytest.raises(InputError, match="no such file; give an allowed-signers file"):
        signature_check(run_copy, run_copy / "nothing")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    run_copy: Path, key: Key, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    script.chmod(0o755)
    for name, value in (
        ("SSH_ASKPASS", str(script)),
        ("SSH_ASKPASS_REQUIRE", "force"),
        ("DISPLAY", ":0"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"has a passphrase, .* give its \.pub file") as refusal:
        sign(run_copy, root_of(run_copy), key("anna", "secret"))
    assert "\n" not in str(refusal.value)
    assert not asked.exists()
    assert not (run_copy / SIGNATURE).exists()


@pytest.mark.parametrize("name", ["signers", "nothing", "anna.pub"])
def test_what_cannot_sign_is_refused_in_one_line(run_copy: Path, key: Key, name: str) -> None:
    anna = key("anna")
    allowed(anna.parent / "signers", anna)
    anna.rename(anna.with_name("moved"))
    with pytest.raises(InputError, match=r"--key .*(no such file|give a private key)") as refusal:
        sign(run_copy, root_of(run_copy), anna.with_name(name))
    assert "\n" not in str(refusal.value)


def test_a_program_that_is_missing_is_named(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "key").write_text("")
    with pytest.raises(InputError, match="openssl is not installed; install it"):
        write_stamp_query(run_copy)
    with pytest.raises(InputError, match="ssh-keygen is not installed; install it"):
        sign(run_copy, root_of(run_copy), tmp_path / "key")


def test_a_program_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SECONDS", 0.05)
    with pytest.raises(InputError, match=r"sleep did not end well: .*try it by hand"):
        programs.ended("sleep", ("5",))


def authority(folder: Path) -> Path:
    """A throwaway authority of time: its certificate, key and configuration in a folder."""
    folder.mkdir()
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(
        "[req]\ndistinguished_name = name\nx509_extensions = stamping\nprompt = no\n"
        "[name]\nCN = throwaway\n"
        "[stamping]\nextendedKeyUsage = critical, timeStamping\n"
        f"[tsa]\ndefault_tsa = own\n[own]\nserial = {folder}/serial\n"
        f"signer_cert = {folder}/cert.pem\nsigner_key = {folder}/key.pem\n"
        "signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\n"
    )
    about = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", folder / "tsa.cnf")
    out = ("-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    shell("openssl", "req", "-x509", *about, *out)
    return folder


@pytest.fixture
def openssl() -> str:
    """The name of openssl; without it the test is skipped."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not installed")
    return "openssl"


@pytest.mark.parametrize("finished", [True, False])
def test_a_query_holds_the_root_and_its_answer_is_checked_as_the_docs_say(
    run_copy: Path, openssl: str, finished: bool
) -> None:
    root = root_of(run_copy) if finished else read_json(run_copy / COMMITMENT)["sha256"]
    if not finished:
        (run_copy / SEAL).unlink()
    query = write_stamp_query(run_copy)
    assert query.name == (f"{SEAL}.tsq" if finished else f"{COMMITMENT}.tsq")
    said = shell(openssl, "ts", "-query", "-in", query, "-text").decode()
    dump = [line[11:58] for line in said.splitlines() if line.startswith("    00")]
    assert "".join(dump).replace("-", "").replace(" ", "") == root
    own, answer = authority(run_copy.parent / "tsa"), query.with_suffix(".tsr")
    config = ("-config", own / "tsa.cnf")
    shell(openssl, "ts", "-reply", "-queryfile", query, "-out", answer, *config)
    trusted = ("-CAfile", own / "cert.pem")
    for digest, agrees in ((root, True), ("0" * 64, False)):
        checked = (openssl, "ts", "-verify", "-digest", digest, "-in", str(answer))
        ended = subprocess.run([*checked, *map(str, trusted)], capture_output=True)
        assert (ended.returncode == 0) == agrees
    shell(openssl, "ts", "-verify", "-queryfile", query, "-in", answer, *trusted)
    named = {line.name for line in second_look(run_copy).coverage if line.level == "not covered"}
    assert {query.name, answer.name} <= named


def test_a_query_is_of_no_hash_that_is_another(run_copy: Path, openssl: str) -> None:
    write_json(run_copy / SEAL, {**read_json(run_copy / SEAL), "root": "0" * 64})
    with pytest.raises(RunFolderError, match=r"seal\.json: does not have the hash that it names"):
        write_stamp_query(run_copy)
    (run_copy / SEAL).unlink()
    write_json(run_copy / COMMITMENT, {"sha256": "0" * 64, "content": {}})
    with pytest.raises(RunFolderError, match="does not have the hash that it names"):
        write_stamp_query(run_copy)
    write_json(run_copy / COMMITMENT, [])
    with pytest.raises(RunFolderError, match="expected what `fulcra audit` wrote"):
        write_stamp_query(run_copy)
    (run_copy / COMMITMENT).unlink()
    with pytest.raises(RunFolderError, match="expected a run's folder"):
        write_stamp_query(run_copy)
    assert not [name for name in os.listdir(run_copy) if name.endswith(".tsq")]
