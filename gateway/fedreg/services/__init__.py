"""Use cases: plain async functions over a `Gateway`. Each surface calls these and nothing below them."""
