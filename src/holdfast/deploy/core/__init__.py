"""Decisions: what fits where, what it costs, what a template does wrong, how to move over. No I/O."""
