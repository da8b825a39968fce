"""How a posture is judged and compared. Knows no Kubernetes, no pytest, and nothing of how results are shown.

verdict        what is weak, why, and which field of an Istio Gateway fixes it
advice         what to look at when nothing is known of a target
istio          which names of cipher suites Istio takes
gateway        warnings about Gateway manifests
comparison     the rows of all that is compared, and the gate of --fail-on
expectations   what a posture should be; expectations_file reads that from YAML, expectations_met compares
pairing        which target of one scan is which of another
difference     what changed between two postures; certificate_changes has their certificates
spelling       how versions, suites, groups and ends are written, in rows as well as in tables
"""
