"""Processes, sockets and files of the gateway."""
