package main

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/pflag"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// policy enforces NetworkPolicies on a node: kube-router's firewall without its routers and proxies. It takes
// kube-router's flags. The Node object must be there.
func policy(args []string) error {
	if err := hurry(); err != nil {
		return err
	}
	config := options.NewKubeRouterConfig()
	flags := pflag.NewFlagSet("policy", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	access, err := clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer release()
	stop := ctx.Done()

	health, err := healthcheck.NewHealthController(config)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	var firewall sync.Mutex
	beats := make(chan *healthcheck.ControllerHeartbeat, 10)
	watched := informers.NewSharedInformerFactory(client, 0)
	pods := watched.Core().V1().Pods().Informer()
	namespaces := watched.Core().V1().Namespaces().Informer()
	policies := watched.Networking().V1().NetworkPolicies().Informer()
	watched.Start(stop)
	watched.WaitForCacheSync(stop)

	tables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &firewall, tables, sets)
	if err != nil {
		return err
	}
	for _, each := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{pods, controller.PodEventHandler},
		{namespaces, controller.NamespaceEventHandler},
		{policies, controller.NetworkPolicyEventHandler},
	} {
		if _, err := each.informer.AddEventHandler(each.handler); err != nil {
			return err
		}
	}
	running.Add(3)
	go health.RunServer(stop, &running)
	health.SetAlive()
	go health.RunCheck(beats, stop, &running)
	go controller.Run(beats, stop, &running)
	<-stop
	running.Wait()
	return nil
}

// hurry puts this process and its children before all others: a pod is open until its rules are written, and who shares two cores
// with two nodes and a control plane would see what no cluster of his shows. Threads inherit from the thread that makes them.
func hurry() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, -15); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}
