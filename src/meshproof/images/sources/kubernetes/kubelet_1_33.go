//go:build kubernetes_1_33

package main

import (
	"github.com/spf13/cobra"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Until 1.33 the kubelet's command took no context.
func newKubeletCommand() *cobra.Command { return kubelet.NewKubeletCommand() }
