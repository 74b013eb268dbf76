"""The command line: one module per command group, built on the client. `main` loads a group on first use."""
