"""Adapters: one package per kind of model registry, each importing only `fedreg.domain` and `.shared`."""
