// Command appstack-cluster is a Kubernetes control plane with simulated nodes in one file: etcd, the
// Kubernetes components, kubectl and kwok, and the launcher that starts and stops them.
// What it does is chosen by the name it is called by, or else by its first argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	// The zones of CronJobs must not depend on what the machine has installed.
	_ "time/tzdata"
)

const usage = `usage: appstack-cluster COMMAND

  up    [--name NAME] [--nodes N] [--owner-pid PID] [--address IP] [--port PORT]
        start a cluster and wait until it is usable; prints KUBECONFIG=... and AUDIT_LOG=...
        With --owner-pid the cluster is stopped when that process is gone.
        With --address no node is simulated: real ones may join, and find the API there (e2e/node).
  down  [--name NAME | --all]
        stop a cluster and remove its state
  list  show the clusters of this user

  etcd | kube-apiserver | kube-controller-manager | kube-scheduler | kubectl | kwok [flags]
        run that program (or call this file through a link of that name)
`

var commands = map[string]func(){
	"etcd":                    runEtcd,
	"kube-apiserver":          runAPIServer,
	"kube-controller-manager": runControllerManager,
	"kube-scheduler":          runScheduler,
	"kubectl":                 runKubectl,
	"kwok":                    runKwok,
	"up":                      launcher(up),
	"down":                    launcher(down),
	"list":                    launcher(list),
	ownerWatch:                launcher(watchOwner),
}

func launcher(f func(args []string) error) func() {
	return func() {
		if err := f(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "error: %v\n", err)
			os.Exit(1)
		}
	}
}

func main() {
	if run, ok := commands[filepath.Base(os.Args[0])]; ok {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run, ok := commands[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
}
