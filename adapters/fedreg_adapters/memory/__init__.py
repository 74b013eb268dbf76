"""A registry in this process: the worked example of an adapter, and a registry for tests and trials."""
