"""A signature over the root of a seal by an ssh key, made and checked by ssh-keygen."""

import tempfile
from pathlib import Path

from fulcra.errors import InputError
from fulcra.protocol.witness.programs import ended
from fulcra.store import SEAL, write_text

SIGNATURE = f"{SEAL}.sig"
#: What the signature is for: one of mail or code does not pass for it.
NAMESPACE = "fulcra"


def sign(folder: Path, root: str, key: Path) -> Path:
    """The file of a signature over the root of a run's seal, by a private key.

    The key may be a .pub file whose private half an ssh-agent holds. InputError where ssh-keygen
    cannot sign with it; a passphrase is never asked for.
    """
    if not key.is_file():
        raise InputError(f"--key {key}: no such file; give an ssh key, as `ssh-keygen` makes one")
    with tempfile.TemporaryDirectory() as place:
        message = Path(place, "root")
        message.write_bytes(signed_message(root))
        about = ("-f", str(key.absolute()), "-n", NAMESPACE, str(message))
        left = ended("ssh-keygen", ("-Y", "sign", *about))
        if not left.well:
            raise InputError(f"--key {key}: {_advice(left.complaint)}")
        signature = Path(place, "root.sig").read_text(encoding="ascii")
    write_text(folder / SIGNATURE, signature)
    return folder / SIGNATURE


def signed_message(root: str) -> bytes:
    """What is signed: the root of the seal, as one line."""
    return f"{root}\n".encode()


def signer(folder: Path, root: str, signers: Path) -> str | None:
    """Who of the allowed signers signed the root of a run's seal; None where nobody did.

    InputError where ssh-keygen or the file of signers is missing.
    """
    if not signers.is_file():
        raise InputError(f"--signers {signers}: no such file; give an allowed-signers file of ssh")
    about = ("-s", str((folder / SIGNATURE).absolute()), "-f", str(signers.absolute()))
    names = ended("ssh-keygen", ("-Y", "find-principals", *about)).out.decode(errors="replace")
    for name in filter(None, names.splitlines()):
        how = ("-Y", "verify", "-I", name, "-n", NAMESPACE, *about)
        if ended("ssh-keygen", how, signed_message(root)).well:
            return name
    return None


def _advice(complaint: str) -> str:
    if "passphrase" in complaint:
        return (
            "has a passphrase, which is never asked for; add the key to ssh-agent by `ssh-add` and"
            " give its .pub file"
        )
    return f"ssh-keygen cannot sign with it ({complaint}); give a private key"
