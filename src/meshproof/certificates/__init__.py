"""Certificates, made in memory for each run.

leaf       a certificate with its key, as a probe shows it
names      which names one can have
authority  who issues them, by role or defect
tree       those of the testbed
"""
