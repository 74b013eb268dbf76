"""What is measured, and what measures it: each in a process of its own."""
