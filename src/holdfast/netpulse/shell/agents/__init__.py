"""Where agents reach the engine: a listener with mutual TLS."""

from holdfast.netpulse.shell.agents.listener import AgentListener

__all__ = ["AgentListener"]
