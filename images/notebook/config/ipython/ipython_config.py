"""Settings of every student's kernel; the home directory may be on a network file system."""

c = get_config()  # noqa: F821 - IPython gives it

# SQLite on NFS locks up or loses data: the history lives as long as the kernel.
c.HistoryManager.hist_file = ":memory:"
