"""Layer 2: the audit trail."""
