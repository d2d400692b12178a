"""Moving a name from one target to another, so that each step can be taken back."""
