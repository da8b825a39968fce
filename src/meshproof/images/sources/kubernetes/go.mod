// The root of the module. What a version of Kubernetes is built from is
// locks/VERSION.mod and locks/VERSION.sum, written by `make lock`.
module meshproof/images/kubernetes

go 1.26
