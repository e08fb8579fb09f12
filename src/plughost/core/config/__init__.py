"""Configuration: frozen typed sections, laid over one another, with the origin of each value.

``load_config`` gives a ``LoadedConfig``; ``decode_plugin_config`` makes a plugin's table into its ``Config``.
"""

from plughost.core.config.load import ConfigSource, load_config
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.plugin_config import decode_plugin_config
from plughost.core.config.redaction import masked_text, redacted

__all__ = ["ConfigSource", "LoadedConfig", "decode_plugin_config", "load_config", "masked_text", "redacted"]
