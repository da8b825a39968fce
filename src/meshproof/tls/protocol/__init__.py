"""What is said in TLS, as values and as octets; no connection is made here.

version      the versions of SSL and TLS
ciphersuite  what the name of a cipher suite says, and how strong it is
codes        the numbers of cipher suites, groups, signature schemes and extensions, and their names
profile      what a client offers, as facts
clients      the named clients: profiles that come with us, and a user's own
hello        a profile in, the octets of a ClientHello out
recognition  the other way round
record       records and their kinds, and the ways in which octets can be wrong
serverhello  what a ServerHello says
flight       what a server sends before encryption begins; ssl2 in SSLv2
keyshare     public keys that a server accepts; keyexchange has private ones, for what a server says after that
"""
