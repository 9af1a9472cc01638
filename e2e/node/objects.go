package main

import (
	_ "embed"
	"strings"
)

//go:embed base.yaml
var base string

// baseObjects are those of every bench.
func baseObjects() string {
	return strings.NewReplacer("CLUSTER_DNS", clusterDNS, "WORLD", world, "PROVISIONER/", provisioner).Replace(base)
}
