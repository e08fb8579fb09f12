"""Pictures of registered sources, resized, converted and kept on the disk."""

from __future__ import annotations

from plughost_images.plugin import ImagesConfig, ImagesPlugin

__all__ = ["ImagesConfig", "ImagesPlugin"]
