"""What brings the agent to a host."""
