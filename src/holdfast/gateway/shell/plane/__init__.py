"""The data plane: clients, calls, attempts, relays."""
