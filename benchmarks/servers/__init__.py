"""Small fast servers that a benchmark talks to, each in a process of its own so that nobody shares its interpreter."""
