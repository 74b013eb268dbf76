"""The Python interface: async (`fedreg.aio`) and blocking (`fedreg.open`), with the same methods."""
