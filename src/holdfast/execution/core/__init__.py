"""Decisions of the code runner: values in, decisions out."""
