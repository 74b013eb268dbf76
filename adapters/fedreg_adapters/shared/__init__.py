"""What several adapters need: object stores, archives, threads for blocking SDKs, HTTP sessions, wire formats.

Nothing here knows a registry: it speaks the domain's types and errors only.
"""
