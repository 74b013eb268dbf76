"""Exit codes that no error brings about: what a command found out."""

FAILED = 1
DIFFERENCES = 4  # finished, and something differs
PARTIAL = 4  # finished, and something is missing from the answer
