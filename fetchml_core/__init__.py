"""FetchML's library: everything that runs on a host, and what the command line shares with it.

Layers, lowest first (a test reads the imports and fails when one runs upwards):

    0  errors  ids  clock  fsio  units  convert  places
    1  jobs  wire  config  permission
    2  queue  snapshot  hardware  launcher  audit
    3  service  worker
    4  agent

Nothing here imports the command line, or a library that a bare host lacks.
"""

__version__ = "0.1.0"
