"""The commands: the module of one is imported when it is run; the table is in ``main``.

In the module of a command the click command is called ``command``, or as it is typed where there are several.
"""
