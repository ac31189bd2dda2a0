"""What the command line does to speak with a host: bring the agent there, start it, call it."""
