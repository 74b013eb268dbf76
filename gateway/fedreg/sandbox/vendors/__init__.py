"""What people do with the vendors' own SDKs, a module a kind: `seed` makes models, `show` reads one back as text.

Each is imported in a process of its own, with the SDK's variables set.
"""
