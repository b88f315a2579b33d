"""Workers come and go: what is seen, what is decided, and what follows. Decisions are pure."""
