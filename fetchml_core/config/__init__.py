"""Configuration: one typed schema for the api file, the worker file and the command line's profile.

Layer 1. A file becomes a tree of nodes with places (`yaml_loader`, `toml_loader`), the tree becomes typed
records (`structure`), rules look across keys (`rules`), and `load` hands out the records or every problem at
once. `find` says where files are, `resolve` what they mean for the queue and for paths.

Nothing is imported here: whoever only looks for a file must not pay for the schema or for a YAML parser.
"""
