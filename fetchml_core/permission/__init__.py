"""Layer 1: who somebody is, and what he may do. Pure."""
