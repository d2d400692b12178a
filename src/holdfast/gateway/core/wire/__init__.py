"""The protocols that clients and providers speak, each read into and written from one conversation."""
