"""Which files a confined plugin needs in any case: the interpreter, what is installed, its own code, the system's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

from plughost._dataclasses import dataclass
from plughost.contracts.processes import Confinement

_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")

_SYSTEM: Final = (
    *("/usr/share", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types"),
    *(
        "/dev/urandom",
        "/dev/random",
        "/proc/self",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/sys/devices/system/cpu",
    ),
    # certificates, but not the folders of private keys beside them
    *(
        "/etc/ssl/certs",
        "/etc/ssl/cert.pem",
        "/etc/ssl/openssl.cnf",
        "/etc/pki/tls/certs",
        "/etc/pki/tls/cert.pem",
    ),
    *("/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust/extracted", "/usr/local/share/ca-certificates"),
)
"""What Python and libraries in C read on their own account; what is not there is passed over."""

_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables by which OpenSSL is told of others."""

_NAMES: Final = (
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf"),
    *("/etc/services", "/etc/protocols"),
)
"""What finding the address of a host needs."""

_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full")
_PROGRAMS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class PluginCode:
    """Where the code of a plugin lies.

    Attributes:
        reference: ``module`` or ``module:attribute``.
        folder: The folder on the import path that holds the module; None when the path finds it.
    """

    reference: str
    folder: Path | None = None

    def places(self) -> list[Path]:
        """Its package or file, and, of a plugin folder, all of that; nothing of it is imported."""
        top = self.reference.partition(":")[0].partition(".")[0]
        if self.folder is None:
            from importlib.util import find_spec

            spec = find_spec(top)
            inside = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin or ""])]
            return [Path(place) for place in inside if place]
        file = self.folder / f"{top}.py"
        manifests = (self.folder / "pyproject.toml", self.folder.parent / "pyproject.toml")
        alone = file.is_file() and not any(one.is_file() for one in manifests)
        return [file if alone else self.folder]


@dataclass(frozen=True, slots=True)
class Places:
    """What a process may do where; see ``landlock.restrict``."""

    read: list[Path]
    write: list[Path]
    names: list[Path]
    run: list[Path]

    @classmethod
    def of(cls, wanted: Confinement, data_dir: Path, code: PluginCode) -> Places:
        """Return what is asked for and what is needed in any case."""
        code_outside = _outside_prefixes([*code.places(), *_places_of_modules()])
        certificates = [os.environ[name] for name in _CERTIFICATES if os.environ.get(name)]
        system = [*_LIBRARIES, *_SYSTEM, *certificates, *(_NAMES if wanted.network else ())]
        return cls(
            read=[*_there([*_prefixes(), *system, *code_outside]), *wanted.read],
            write=[data_dir, *wanted.write, *_there(_DEVICES)],
            # The import system lists a folder before it opens a file in it.
            names=list(dict.fromkeys(place.parent for place in code_outside)),
            run=_there([*_PROGRAMS, *_LIBRARIES, *_prefixes()]) if wanted.programs else [],
        )


def code_in_use(code: PluginCode) -> list[Path]:
    """Return where the interpreter, what is installed in it and the plugin's code lie."""
    return [*_prefixes(), *_outside_prefixes([*code.places(), *_places_of_modules()])]


def _prefixes() -> list[Path]:
    return [Path(place) for place in dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix))]


def _there(places: Iterable[Path | str]) -> list[Path]:
    return [path for path in map(Path, places) if path.exists()]


def _outside_prefixes(places: Iterable[Path]) -> list[Path]:
    prefixes = [prefix.resolve() for prefix in _prefixes()]
    resolved = dict.fromkeys(place.resolve() for place in _there(places))
    return [place for place in resolved if not any(map(place.is_relative_to, prefixes))]


def _places_of_modules() -> list[Path]:
    """Packages and modules that are in use already, wherever they lie: they may import more of themselves later."""
    places: list[Path] = []
    for name, module in list(sys.modules.items()):
        if "." not in name and isinstance(module, ModuleType):
            facts = vars(module)
            path, file = facts.get("__path__"), facts.get("__file__")
            found = [file] if path is None else list(path)
            places += [Path(place) for place in found if isinstance(place, str) and place]
    return places
