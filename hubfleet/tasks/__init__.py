"""Invoke collections, thin: parse, call, print."""
