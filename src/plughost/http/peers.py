"""Whose a TCP connection within this machine is, as the kernel tells under ``/proc``."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED: Final = "01"
_LISTEN: Final = "0A"

_End = tuple[str, int]  # as in the table: an address in hexadecimal, and a port


def is_of_this_user(client: Sequence[Any], server: Sequence[Any]) -> bool:
    """Whether the connection that ``client`` made to ``server`` belongs to the user who runs this program.

    That is also so when nothing listens at the server's port: then there is no connection, and the request was made
    within this process. Where the kernel does not tell, as on systems without ``/proc``, it is not so.

    Args:
        client: Address and port of who connected, as an ASGI server says.
        server: Address and port it connected to.
    """
    try:
        # As the tables may spell it: words of four bytes, each in the order of this machine.
        known = ipaddress.ip_address(client[0])
        packed = [known.packed]
        if isinstance(known, ipaddress.IPv4Address):
            packed.append(ipaddress.IPv6Address(f"::ffff:{known}").packed)
        elif known.ipv4_mapped is not None:
            packed.append(known.ipv4_mapped.packed)
        spellings = frozenset(
            "".join(f"{int.from_bytes(one[at : at + 4], sys.byteorder):08X}" for at in range(0, len(one), 4))
            for one in packed
        )
        is_listened_to = False
        for local, remote, state, user in _rows():
            if local[1] == int(server[1]) and state == _LISTEN:
                is_listened_to = True
            elif (local[1], remote[1]) == (int(client[1]), int(server[1])) and local[0] in spellings:
                # One that is being closed is shown as root's, whoever made it.
                return state == _ESTABLISHED and user == os.geteuid()
    except (OSError, ValueError):
        return False
    return not is_listened_to


def _rows() -> Iterator[tuple[_End, _End, str, int]]:
    tables = [table for table in _TABLES if table.exists()]
    if not tables:
        raise FileNotFoundError("this system has no table of connections")
    for table in tables:
        with table.open(encoding="ascii") as lines:
            next(lines, None)  # the header
            for line in lines:
                _, local, remote, state, _, _, _, user, *_ = line.split()
                yield _end(local), _end(remote), state, int(user)


def _end(text: str) -> _End:
    address, _, port = text.partition(":")
    return address, int(port, 16)
