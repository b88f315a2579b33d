"""A JupyterHub for a whole class that grows and shrinks with the class."""
