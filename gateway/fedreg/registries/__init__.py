"""Loading, opening and guarding adapters, and the guard around each of their requests."""
