"""Ways to reach a host: a program on this machine, or one behind SSH; each gives one `base.ByteStream`."""
