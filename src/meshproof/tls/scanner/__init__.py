"""Many connections to a target, and what is known after them.

targets      the scan itself: of one target, and of many at once
prober       all connections to one target, and what an end without an answer is worth
questions    the hellos with which a scan asks for one thing
enumeration  lists: what a server offers, with one connection more than it has entries
certificate  a certificate as facts
crosscheck   every answer held against the lists
reason       why a client gets in, or why not
findings     the posture: what a scan finds, as values
sslyze       a second opinion, by another program
"""
