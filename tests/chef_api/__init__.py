"""The Chef API from outside: the embedded server as a process, or any other by its URL and keys."""
