"""Thin clients: the only modules that start programs or speak HTTP."""
