"""Who may reach the page: this machine alone, or whoever has the token."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError

#: Where a token may stand beside a file.
VARIABLE = "FULCRA_PLAYGROUND_TOKEN"
#: Characters of a token at least: 16 random ones are not guessed over a network.
SHORTEST = 16
#: Characters of a token file that are read at most.
LONGEST = 4096


class Access(NamedTuple):
    """The address to listen at, and the token that is asked for, None on this machine alone."""

    host: str
    token: str | None

    @property
    def remote(self) -> bool:
        """Whether other machines can reach the page."""
        return not is_local(self.host)

    def __repr__(self) -> str:
        return f"Access({self.host!r}, {'with' if self.token else 'without'} a token)"


def is_local(host: str) -> bool:
    """Whether an address is one of this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def access(
    host: str, allow_remote: bool, token_file: Path | None, environment: Mapping[str, str]
) -> Access:
    """The access that was asked for; InputError where others would get in without a token."""
    token = _token(token_file, environment)
    if is_local(host):
        return Access(host, token)
    if not allow_remote:
        raise InputError(
            f"playground: --host {host} lets other machines in; give --allow-remote and a token,"
            " or leave --host out"
        )
    if token is None:
        raise InputError(
            f"playground: --host {host} lets other machines in without a token; give --token-file"
            f" FILE, or set {VARIABLE}"
        )
    return Access(host, token)


def _token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of a file, else of the environment, without blanks around it."""
    if file is None:
        token, place = environment.get(VARIABLE), VARIABLE
        if token is None:
            return None
    else:
        token, place = _read(file), f"--token-file {file}"
    token = token.strip()
    if len(token) < SHORTEST or not token.isprintable():
        raise InputError(
            f"playground: {place} holds {len(token)} characters; a token is one line of at least"
            f" {SHORTEST}"
        )
    return token


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(LONGEST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputError(
            f"playground: --token-file {file}: {reason}; name a readable file"
        ) from None
