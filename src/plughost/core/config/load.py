"""From a file, the environment and code to one configuration: defaults < file < environment < overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from plughost.contracts.config import HostConfig
from plughost.core.config.decoding import UNKNOWN, Decoder, raise_problems
from plughost.core.config.environment import misspelled, prefixes, settings, variable
from plughost.core.config.files import read_toml
from plughost.core.config.layers import Layers, is_table
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.paths import canonical, dotted, origin_of_setting
from plughost.core.config.references import Resolver, unresolved, variables_in
from plughost.exceptions import ConfigError, ConfigProblem, did_you_mean

_BESIDE: Final = r"(plugins\.[^.\"]+)\.[^.]+"

_AS_CONFIG: Final = "A file or a table of settings is given as config=..."

DEFAULT_FILE: Final = "plughost.toml"
DEFAULT_NAME: Final = "plughost"

ConfigSource = str | os.PathLike[str] | Mapping[str, Any] | HostConfig
"""A file, or what a file would hold, or the typed sections themselves."""


def load_config(
    source: ConfigSource | None = None,
    *,
    host_name: str = DEFAULT_NAME,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    base: Path | None = None,
) -> LoadedConfig:
    """Return the configuration of a host.

    Later layers win, table by table and key by key: defaults, ``source``, the table ``[environments.NAME]``
    of it that ``PLUGHOST_ENVIRONMENT`` chooses, environment variables, ``overrides``.

    Args:
        source: A TOML file, a mapping or a ``HostConfig``. None takes the file that ``PLUGHOST_CONFIG``
            names, else ``plughost.toml`` in the working directory if there is one, else nothing.
        host_name: The host's name. One that differs from the default wins over ``[host] name``. Variables are
            read with the prefix ``PLUGHOST_`` and with the host's name in capitals, which wins.
        environ: The environment; the process's own by default.
        overrides: Tables as in the file, decided by code.
        base: Where relative paths begin that no file holds; the working directory by default.

    Raises:
        ConfigError: With every problem that was found; the file is missing, is not TOML, or has an unknown,
            mistyped or missing setting.
    """
    environ = os.environ if environ is None else environ
    if not isinstance(given := cast("object", host_name), str):
        told = f"a host's name is text like 'acme', not {_a(given)}. {_AS_CONFIG}"
        raise ConfigError(told, path="host.name", origin="code")
    base = base or _working_folder()
    path, values, origin = _read(source, host_name, environ, base)
    overlays = _taken(values, "environments", origin)
    name = _name(values, host_name)
    layers = Layers()
    layers.lay(values, origin)
    problems = list(misspelled(environ, known=frozenset(variables_in([values, overlays]))))
    _lay_environment(layers, overlays, _chosen(values, overrides or {}, name, environ), origin)
    for prefix in prefixes(name):
        for one in settings(prefix, environ, layers.values):
            layers.lay(one.layer, one.origin)
    if host_name != DEFAULT_NAME:
        layers.lay({"host": {"name": host_name}}, "code")
    layers.lay(overrides or {}, "code")
    for name, overlay in overlays.items():  # every one: production's mistakes are seen before production
        decoder = Decoder({dotted(("environments", name)): origin})
        decoder.decode(unresolved(overlay), HostConfig, ("environments", name))
        problems += decoder.problems
    problems += _twins_in(layers)
    config, referenced = _decoded(layers, environ, base if path is None else (base / path).parent, problems)
    defaults = {dotted(("host", name)): "default" for name in config.host.__struct_fields__}
    origins = MappingProxyType({**defaults, **layers.origins})
    return LoadedConfig(config, origins, path, MappingProxyType(dict(environ)), referenced, base=base)


def _read(
    source: ConfigSource | None, host_name: str, environ: Mapping[str, str], base: Path
) -> tuple[Path | None, dict[str, Any], str]:
    if isinstance(source, HostConfig):
        return None, _written(source), "code"
    if isinstance(source, Mapping):
        return None, dict(source), "code"
    named_by = ""
    if source is None:
        found = variable("CONFIG", host_name, environ)
        if found and found[1]:
            named_by, source = found
        elif not (base / DEFAULT_FILE).exists():
            return None, {}, "code"
        else:
            source = DEFAULT_FILE
    given: object = source
    if not isinstance(given, str | os.PathLike):
        told = f"a configuration is a file, a mapping or a HostConfig, not {_a(given)}"
        raise ConfigError(told, path="config", origin="code")
    path = Path(source).expanduser()
    return path, read_toml(path, named_by=named_by, base=base), str(path)


def _a(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _written(section: msgspec.Struct) -> dict[str, Any]:
    """Return the tables that a typed section stands for, without what is as by default."""
    written: dict[str, Any] = {}
    blank = type(section)()
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if value != getattr(blank, name):
            written[name] = _written_value(value)
    return written


def _written_value(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _written(value)
    if isinstance(value, Mapping):
        return {key: _written_value(inner) for key, inner in value.items()}
    return value


def _taken(values: dict[str, Any], key: str, origin: str) -> Mapping[str, Any]:
    tables = values.pop(key, {})
    if isinstance(tables, Mapping) and all(isinstance(table, Mapping) for table in tables.values()):
        return tables
    raise ConfigError(
        f"{key} holds one table for each environment: [{key}.production]", path=key, origin=origin
    )


def _name(values: Mapping[str, Any], host_name: str) -> str:
    if host_name != DEFAULT_NAME:
        return host_name
    host = values.get("host")
    named = host.get("name") if isinstance(host, Mapping) else None
    return named if isinstance(named, str) else host_name


def _chosen(
    values: Mapping[str, Any], overrides: Mapping[str, Any], name: str, environ: Mapping[str, str]
) -> tuple[str, str]:
    """Return which environment is chosen, and by what; empty strings when none is."""
    if chosen := _environment_in(overrides):
        return chosen, "code"
    for suffix in ("ENVIRONMENT", "HOST__ENVIRONMENT"):
        if found := variable(suffix, name, environ):
            return found[1], found[0]
    return _environment_in(values), "[host] environment"


def _environment_in(values: Mapping[str, Any]) -> str:
    host = values.get("host")
    chosen = host.get("environment") if isinstance(host, Mapping) else None
    return chosen if isinstance(chosen, str) else ""


def _lay_environment(
    layers: Layers, overlays: Mapping[str, Any], chosen: tuple[str, str], origin: str
) -> None:
    name, chosen_by = chosen
    if not name or not overlays:
        return
    if name not in overlays:
        raise ConfigError(
            f"{chosen_by} chooses environment {name!r}, but {origin} has no table [environments.{name}]:"
            f" add it (it may be empty).{did_you_mean(name, overlays)}",
            path="host.environment",
            origin=chosen_by,
        )
    layers.lay(overlays[name], f"{origin} [environments.{name}]")


def _twins_in(layers: Layers) -> Iterator[ConfigProblem]:
    """Yield a problem for each plugin that has two tables: one of them would be lost in silence."""
    tables = layers.values.get("plugins")
    first: dict[str, str] = {}
    for name in tables if isinstance(tables, Mapping) else ():
        other = first.setdefault(canonical(name), name)
        if other != name:
            path = ("plugins", name)
            message = f"[{dotted(('plugins', other))}] is the same plugin in another spelling: write it once"
            yield ConfigProblem(dotted(path), origin_of_setting(path, layers.origins), message)


def _decoded(
    layers: Layers, environ: Mapping[str, str], directory: Path, problems: list[ConfigProblem]
) -> tuple[HostConfig, Mapping[str, str]]:
    """Return the typed sections, and what is shown in place of values that a reference stood for."""
    resolver = Resolver(environ=environ, directory=directory, origins=layers.origins)
    # Follow the references in the host's own settings; plugins and apps have theirs followed on loading
    resolved = dict(layers.values)
    for key, value in layers.values.items():
        if key == "plugins" and is_table(value):
            resolved[key] = {name: _resolved_plugin(name, one, resolver) for name, one in value.items()}
        elif key != "apps":
            resolved[key] = resolver.resolve(value, (key,))
    decoder = Decoder(layers.origins, resolved=resolver.resolved, secrets=resolver.secrets)
    config: HostConfig = decoder.decode(resolved, HostConfig, ())
    raise_problems([*problems, *resolver.problems, *map(_hinted, decoder.problems)])
    return config, MappingProxyType(resolver.resolved)


def _hinted(problem: ConfigProblem) -> ConfigProblem:
    """Say where a plugin's own settings go, to who wrote them beside ``enabled`` and ``module``; and what a name is."""
    if problem.path == "host.name":
        hint = f"{problem.message}: letters, digits, dashes and underscores, beginning with a letter."
        hint += f" {_AS_CONFIG}" * (problem.origin == "code")
        return ConfigProblem(problem.path, problem.origin, hint)
    found = re.fullmatch(_BESIDE, problem.path)
    if found is None or problem.message != UNKNOWN:
        return problem
    hint = f"{UNKNOWN} The plugin's own settings go under [{found[1]}.config]."
    return ConfigProblem(problem.path, problem.origin, hint)


def _resolved_plugin(name: str, section: Any, resolver: Resolver) -> Any:
    if not is_table(section):
        return section
    return {
        key: value if key == "config" else resolver.resolve(value, ("plugins", name, key))
        for key, value in section.items()
    }


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError(
            "the folder that this program works in was removed, so nobody knows where relative paths begin. Start it "
            "in another",
            origin="code",
        ) from None
