// The root of the module. What a release of Istio is built from is
// locks/RELEASE.mod and locks/RELEASE.sum, written by `make lock`.
module meshproof/images/istio

go 1.26
