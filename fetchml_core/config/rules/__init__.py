"""Rules across keys, by kind of file; whoever loads a file imports the rules of its kind."""
