"""`meshproof scan`, by what a reader looks for.

command     its options, and what happens in which order
targets     the targets from the command line
simulated   the clients that are simulated
credential  the client certificate of --cert and --key
asked       what the postures are compared with, and how the command ends
shown       what is printed
saved       what is written
"""
