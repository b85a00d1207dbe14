"""The command line: one file per command, which converts options to one call of the library."""
