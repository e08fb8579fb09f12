"""Turning a plugin's table into an instance of its ``Config``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, is_typeddict

import msgspec

from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.masking import KnownSecrets, masked_text
from plughost.core.config.decoding import FAILED, Decoder, raise_problems
from plughost.core.config.models import decode_model
from plughost.core.config.paths import SettingPath, dotted
from plughost.core.config.records import is_model, record_of
from plughost.core.config.redaction import known_secrets, secret_strings
from plughost.core.config.references import Resolver
from plughost.core.config.undecoded import UndecodedSettings, is_undecoded
from plughost.core.containment import Point, contained
from plughost.exceptions import ConfigError, ConfigProblem

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Where a table comes from, and what its references lead to.

    Attributes:
        origins: Dotted name to origin, as ``LoadedConfig.origins``; what is not in it came from code.
        environ: Where ``$env`` references look; None for the process's environment.
        directory: Where relative ``$file`` references begin; the working directory by default.
        known: Is told what is secret; None tells nobody.
    """

    origins: Mapping[str, str] = _NOTHING
    environ: Mapping[str, str] | None = None
    directory: Path = Path()
    known: KnownSecrets | None = None


_FROM_CODE: Final = Reading()


def decode_plugin_config(
    plugin_name: str,
    config_class: Any,
    raw: Mapping[str, Any] | object,
    reading: Reading = _FROM_CODE,
    *,
    section: str | None = None,
) -> Any:
    """Return the plugin's configuration as its ``Config``, with references followed.

    Values from the environment, and those that a reference stands for, are read leniently (``"10"`` is a
    number, ``"a,b"`` a list); all others must have the right type. Unknown keys are refused, whatever the
    class itself would do with them.

    Args:
        plugin_name: For messages.
        config_class: A ``msgspec.Struct``, dataclass, TypedDict or pydantic model; None when it declares
            none.
        raw: The table as it was written, or an instance of the class, which is taken as it is.
        reading: Where it comes from.
        section: The name of its table under ``[plugins]``, when that is spelled differently.

    Returns:
        An instance of the class; a dict for a TypedDict; a read-only mapping when ``config_class`` is None.

    Raises:
        PluginConfigError: With every problem that was found, each with its path, such as
            ``plugins.backup.config.schedule``.
    """
    path = ("plugins", section or plugin_name, "config")

    def decoded() -> Any:
        if (
            isinstance(config_class, type)
            and not is_typeddict(config_class)
            and isinstance(raw, config_class)
        ):
            if reading.known is not None:
                reading.known.add(known_secrets((), raw))
            return raw
        if config_class is None and isinstance(raw, Mapping) and not raw:
            return _NOTHING
        config, problems = decode_table(raw, config_class, path, reading)
        raise_problems(problems, plugin=plugin_name)
        return config

    try:
        return contained(Point.CONFIG, decoded)
    except ConfigError:
        raise
    except Exception as error:  # a class may be made so that a mere look at it raises
        reason = f"the Config of plugin {plugin_name!r} cannot be read: {masked_text(error_line(error))}"
        return raise_problems([ConfigProblem(dotted(path), "", reason)], plugin=plugin_name)


def decode_table(
    raw: Mapping[str, Any] | object, kind: Any, path: SettingPath, reading: Reading
) -> tuple[Any, list[ConfigProblem]]:
    """Return a table as ``kind``, with references followed, and what is wrong with it."""
    origins = reading.origins
    environ = os.environ if reading.environ is None else reading.environ
    resolver = Resolver(environ=environ, directory=reading.directory, origins=origins)
    values = resolver.resolve(raw, path)
    if is_undecoded(kind) and isinstance(values, Mapping):
        below = {name: origin for name, origin in origins.items() if name.startswith(dotted(path))}
        decoded: Any = kind(path[1], values, below, tuple(resolver.resolved))
        problems = []
    else:
        secrets = resolver.secrets.union(secret_strings(values))
        decoder = Decoder(origins, resolved=resolver.resolved, secrets=secrets)
        decoded, problems = _decode_values(values, kind, path, decoder), decoder.problems
    if reading.known is not None:
        reading.known.add(resolver.secrets)
        reading.known.add(known_secrets(values, decoded))
    return decoded, resolver.problems + problems


def decode_elsewhere(
    plugin_name: str, kind: Any, settings: UndecodedSettings, known: KnownSecrets | None = None
) -> Any:
    """Return settings that the host did not decode as what the plugin declares; in the plugin's own process.

    Raises:
        PluginConfigError: With every problem that was found.
    """
    path = ("plugins", settings.section, "config")
    decoder = Decoder(
        settings.origins, resolved=settings.lenient, secrets=frozenset(secret_strings(settings.values))
    )
    decoded = _decode_values(settings.values, kind, path, decoder)
    if known is not None:
        known.add(known_secrets(settings.values, decoded))
    raise_problems(decoder.problems, plugin=plugin_name)
    return decoded


def _decode_values(values: Any, kind: Any, path: SettingPath, decoder: Decoder) -> Any:
    decoded: Any = FAILED
    if not isinstance(values, Mapping):
        decoder.note(path, f"expected `table`, got `{type(values).__name__}`")
    elif kind is None:
        decoded = MappingProxyType(values)
    elif record_of_or_note(kind, decoder, path):
        decoded = decoder.decode(values, kind, path)
    elif is_model(kind):
        decoded = decode_model(values, kind, path, decoder)
    return decoded


def record_of_or_note(kind: Any, decoder: Decoder, path: SettingPath) -> bool:
    """Whether the decoder builds the class itself; what is wrong with the class becomes a problem."""
    try:
        if record_of(kind):
            return True
    except (NameError, TypeError) as error:
        decoder.note(path, f"the annotations of {kind.__qualname__} cannot be read: {error_text(error)}")
        return False
    if not is_model(kind):
        name = getattr(kind, "__qualname__", repr(kind))
        decoder.note(
            path, f"Config must be a msgspec.Struct, dataclass, TypedDict or pydantic model; {name} is not"
        )
    return False
