"""Traces for OpenTelemetry. `tracing` is what `bootstrap` uses; it loads the rest where `telemetry` is configured."""
