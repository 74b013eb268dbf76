"""The HTTP API: one table of routes over the services; errors as problem+json."""
