"""Students at a running deployment."""
