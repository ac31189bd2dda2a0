"""The tree a job runs on: hashed on the client, checked, stored and laid out on the host.

Layer 2. Client: `tree` (what is meant), `scan` (walk, ignore, hash), `transfer` (read for sending), `git`.
Host: `manifest` (check what a client sent), `store` (content-addressed blobs), `workspace` (a private copy).
What the host imports needs the standard library and attrs only.
"""
