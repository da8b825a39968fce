"""Proves on a real cluster what a service mesh promises about TLS."""
