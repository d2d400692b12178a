"""Files, generators and checkers around the decisions."""
