"""Durable execution: workflows whose finished steps survive a kill.

`port` is all that services may know: `Engine`, `Context`, `Status`. `dbos_engine` implements it with DBOS and is
imported by the bootstrap only, because DBOS takes about a second to import.
"""
