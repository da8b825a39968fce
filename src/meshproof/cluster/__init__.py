"""A Kubernetes cluster that is ours.

kind      the cluster, its configuration and its record
kube      its API
external  servers that its pods reach and that are not in it
objects   what the API and manifests are made of, as plain data
doctor    what the machine needs before there can be one
"""
