"""Deployment by workload fit: place, explain, price, emit, cut over."""
