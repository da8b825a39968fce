"""One connection, and what came of it.

outcome              the names of all that can come of one
stream               one TCP connection with one deadline
resolution           from a host name to addresses
exchange             one ClientHello, one answer
answer               that answer, and what it says about a version
encrypted            what a TLS 1.3 server says after its ServerHello; decryption makes that readable
completed_handshake  one handshake to its end, by Python's own `ssl`
capture              the other side: a program's first ClientHello, on loopback
"""
