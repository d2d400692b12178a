"""The control API, mounted behind the data plane's port: everything that is no model's work."""

from holdfast.gateway.shell.control.app import control_app
from holdfast.gateway.shell.control.service import Asking, Service, Svc, answer, require, who

__all__ = ["Asking", "Service", "Svc", "answer", "control_app", "require", "who"]
