"""The code runner's sockets, processes and SQL."""
