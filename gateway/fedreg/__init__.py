"""A federation gateway for model registries. Names are loaded on first use."""
