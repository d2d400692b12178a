"""Decisions of NetPulse: what the evidence of all regions says, and what follows from it."""
