"""The ground floor: words, rules and the adapter port. Imports the standard library only."""
