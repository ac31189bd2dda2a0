"""The shipped samples, each broken in twenty ways and more."""
