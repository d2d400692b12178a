"""CloudFormation for a plan."""
