"""What a host has: processors, memory and GPUs, and how each figure was found."""
