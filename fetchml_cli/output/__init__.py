"""What people and scripts see: tables, JSON, times, progress, and the guard of the terminal.

Layer 6. Nothing here knows a command or a connection.
"""
