"""Settings of every student's server; the home directory may be on a network file system."""

c = get_config()  # noqa: F821 - Jupyter gives it

# SQLite on NFS locks up or loses data: which notebooks are trusted is known until the server ends.
c.NotebookNotary.db_file = ":memory:"
c.FileContentsManager.delete_to_trash = False
