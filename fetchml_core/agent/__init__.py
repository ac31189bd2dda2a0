"""Layer 4: the door over stdin and stdout."""
