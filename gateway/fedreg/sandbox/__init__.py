"""A sandbox of registries on loopback: a real MLflow server, stand-ins, and S3 by moto. Runs no commands itself."""
