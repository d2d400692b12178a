"""The AI gateway: one endpoint, many providers, no surprises on the bill."""
