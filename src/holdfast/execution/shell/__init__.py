"""Sockets, SQL and processes of the code runner."""
