"""The version of the distribution; hatchling reads it here."""

__version__ = "0.1.0"
