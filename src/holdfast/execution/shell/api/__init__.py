"""The HTTP API of the code runner: what tenants, operators and workers ask."""
