"""Settings: one YAML file, placeholders, overrides from the environment, everything checked before anything starts."""

from fedreg.settings.loading import find_config, load_settings
from fedreg.settings.schema import json_schema
from fedreg.settings.sections import Settings, check_exposure

__all__ = ["Settings", "check_exposure", "find_config", "json_schema", "load_settings"]
