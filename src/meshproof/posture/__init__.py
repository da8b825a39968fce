"""What is made of a posture: a verdict, a comparison, a document, a picture. Knows no Kubernetes and no pytest.

verdict        what is weak, why, and which field of an Istio Gateway mends it
istio          which names of cipher suites Istio takes
gateway        warnings about Gateway manifests
expectations   what a posture should be, from YAML
difference     what changed between two postures
document       to JSON and back (``posture.schema.json``)
table          on a terminal
page           in a browser
"""
