"""Configuration: frozen typed sections, laid over one another, with the origin of each value.

``load_config`` gives a ``LoadedConfig``, whose ``decode_plugin`` makes a plugin's table into its ``Config``;
``config_schema`` describes a whole file, ``set_plugin_enabled`` edits one.
"""

from plughost.core.config.editing import set_plugin_config, set_plugin_enabled, set_plugin_environment
from plughost.core.config.load import ConfigSource, load_config
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.plugin_config import Reading, decode_plugin_config
from plughost.core.config.redaction import redacted
from plughost.core.config.schema import config_schema, plugin_schema

__all__ = [
    "ConfigSource",
    "LoadedConfig",
    "Reading",
    "config_schema",
    "decode_plugin_config",
    "load_config",
    "plugin_schema",
    "redacted",
    "set_plugin_config",
    "set_plugin_enabled",
    "set_plugin_environment",
]
