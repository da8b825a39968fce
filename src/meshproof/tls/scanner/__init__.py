"""Many connections to a target, and what is known after them.

many_targets         the scan of many targets at once
one_target           the scan of one, step by step; options has what it looks at
first_word           getting a first word out of a target: the witness that all else is judged by
connections          all connections to one target: how many at once, how fast and for how long
refusals             whether an end without an answer is a refusal; prober makes the tries that it takes
questions            the hellos with which a scan asks for one thing
versions             which versions a server offers
listing              how a list is asked for: suites, groups and alpn are such lists
certificate_kinds    looking at the certificate for each kind of key
client_certificates  what becomes of a client without a certificate, and of one with ours
conclusions          what goes into a posture when all is asked: certificates, a row for each client, notes
certificate          a certificate as facts
crosscheck           every answer held against the lists
reason               why a client gets in, or why not
findings             the posture: what a scan finds, as values
sslyze               a second opinion, by another program
"""
