"""An agent: probes what the engine orders from where it stands, and delivers what it saw without loss."""

from holdfast.netpulse.shell.agent.errors import AgentError
from holdfast.netpulse.shell.agent.round import Report, agent_round
from holdfast.netpulse.shell.agent.serve import serve_agent

__all__ = ["AgentError", "Report", "agent_round", "serve_agent"]
