// Command appstack-node runs real Kubernetes nodes on one Linux machine, and a control plane for them (e2e/cluster).
// kubelet, kube-proxy and the agent that enforces NetworkPolicies are parts of this file; containerd, runc, the CNI
// plugins and the firewall's tools are the machine's.
//
// A bench is one such cluster. Its processes form a tree:
//
//	serve      on the machine: listens on loopback for the API, and ends when it is told to
//	  site     pid 1 of namespaces of its own: the wire between the nodes, the control plane, the world outside
//	    machine  pid 1 of the namespaces of one node: containerd, kubelet, kube-proxy, policy
//
// The kernel ends what is below a process that ends, with its mounts, links and firewalls. What remains has the
// name of the bench: its directory and its cgroups.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	_ "time/tzdata"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"context"
)

const usage = `usage: appstack-node COMMAND [--name NAME] ...

  check                    what this machine lacks, and how to get it
  packages                 the distribution packages that are needed, for apt-get
  up [--nodes N] [--owner-pid PID] [--images ARCHIVE]
                           start a bench and wait until it is usable; prints KUBECONFIG=..., AUDIT_LOG=... and STATE=...
  down [--all]             end it, whatever is left of it, and remove what it has left
  list                     the benches of this machine
  exec NODE COMMAND...     run a command in the namespaces of a node, or of the world outside ("outside")
  load ARCHIVE...          import images into every node
  node stop|start NODE     take a node away, as by its power switch; bring it back
  daemon stop|start|restart NODE containerd|kubelet|kube-proxy|policy

  kubelet | kube-proxy | policy [flags]     run that program
`

var commands = map[string]func([]string) error{
	"check":    check,
	"packages": packages,
	"up":       up,
	"down":     down,
	"list":     list,
	"exec":     execIn,
	"load":     load,
	"node":     switchNode,
	"daemon":   switchDaemon,
	"serve":    serve,
	"site":     site,
	"machine":  machine,
	"policy":   policy,
}

func main() {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && name != "kubelet" && name != "kube-proxy" {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	switch name {
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	}
	run, ok := commands[name]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// parse returns the bench that the flags name, and what follows them.
func parse(flags *flag.FlagSet, args []string) (*bench, []string, error) {
	name := flags.String("name", "dev", "name of the bench")
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil {
		return nil, nil, fmt.Errorf("%s: %w (run appstack-node without arguments for its usage)", flags.Name(), err)
	}
	b, err := newBench(*name)
	return b, flags.Args(), err
}

func newFlags(command string) *flag.FlagSet { return flag.NewFlagSet(command, flag.ContinueOnError) }
