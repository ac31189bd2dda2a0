"""The command line `ml`: what people type, and what they see.

Layers, lowest first; the library `fetchml_core` lies under all of them and imports none:

    transport  one byte stream to a host
    remote     the agent on the host as a typed client
    output     tables, JSON, times, progress, terminal safety
    cli        the surroundings of one command: streams, environment, folders
    commands   one file per verb
    main       the program: lazy (which verb is where), boundary (errors become exit statuses), report
"""
