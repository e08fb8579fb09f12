"""The first-party plugin ``database``: SQLAlchemy engines, Alembic migrations, seeds, models, copies."""

from plughost.plugins.database.config import DatabaseConfig
from plughost.plugins.database.plugin import DatabasePlugin

__all__ = ["DatabaseConfig", "DatabasePlugin"]
