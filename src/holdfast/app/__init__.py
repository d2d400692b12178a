"""Configuration, wiring and the supervisor: what turns a file into running services.

Import from the modules: the command line must not pay for a supervisor to check a file.
"""
