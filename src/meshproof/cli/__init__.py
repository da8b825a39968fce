"""The commands: the module of one is imported when it is run; the table is in ``main``."""
