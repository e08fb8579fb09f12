"""Reading a configuration file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from plughost.core.config.toml_text import parse_toml
from plughost.exceptions import ConfigError

_POSITION: Final = r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"


def read_toml(path: Path, *, named_by: str = "", base: Path = Path()) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Args:
        path: The file.
        named_by: What named it, for messages.
        base: Where a relative path begins; the working directory by default.

    Raises:
        ConfigError: It is missing, unreadable, not UTF-8 or not TOML; the message says where.
    """
    origin = str(path)
    try:
        text = (base / path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        named = f", which {named_by} names," if named_by else ""
        raise ConfigError(
            f"configuration file {path}{named} does not exist: create it, or name another", origin=origin
        ) from None
    except OSError as error:
        raise ConfigError(
            f"configuration file {path} cannot be read: {error.strerror or error}", origin=origin
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration file {path} is not UTF-8 text: byte {error.start}", origin=origin
        ) from error
    try:
        return parse_toml(text)
    except ValueError as error:
        said = str(error)
        if position := re.search(_POSITION, said):
            line, column = position["line"], position["column"]
            if line is None:  # the parser says only that it reached the end
                lines = text.splitlines() or [""]
                line, column = str(len(lines)), str(len(lines[-1]) + 1)
            said = f"{said[: position.start()]} in line {line}, column {column}"
        raise ConfigError(f"configuration file {path} is not TOML: {said}", origin=origin) from None
