"""Many connections to a target, and what is known after them.

targets      the scan itself: of one target, and of many at once
connections  all connections to one target: how many at once, how fast and for how long
worth        what an end without an answer is worth; prober makes the tries that it takes
questions    the hellos with which a scan asks for one thing
versions     which versions a server offers
listing      how a list is asked for: suites, groups and alpn are such lists
certificate  a certificate as facts
crosscheck   every answer held against the lists
reason       why a client gets in, or why not
findings     the posture: what a scan finds, as values
sslyze       a second opinion, by another program
"""
