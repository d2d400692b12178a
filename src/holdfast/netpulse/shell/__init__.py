"""NetPulse's probes, agents, records, channels and interfaces."""
