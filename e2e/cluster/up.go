package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	defaultName = "dev"
	// Seconds are normal; this is for a machine that is busy with something else.
	startPatience = 2 * time.Minute
)

var errPortTaken = errors.New("the port chosen for the API server was taken by another program")

func up(args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	name := flags.String("name", defaultName, "name of the cluster")
	nodes := flags.Int("nodes", 3, "number of simulated nodes")
	ownerPid := flags.Int("owner-pid", 0, "stop the cluster when this process is gone")
	address := flags.String("address", "", "serve real nodes, which find the API at this address")
	port := flags.Int("port", 0, "port of the API server")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *nodes < 0 || *nodes > 500 {
		return fmt.Errorf("--nodes %d: use 0 to 500", *nodes)
	}
	if *address != "" && net.ParseIP(*address).To4() == nil {
		return fmt.Errorf("--address %s: use an IPv4 address", *address)
	}
	var owner *process
	if *ownerPid != 0 {
		p, ok := findProcess(*ownerPid)
		if !ok {
			return fmt.Errorf("--owner-pid %d: there is no such process", *ownerPid)
		}
		owner = &p
	}
	interrupted, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer release()

	c, err := lockCluster(*name, true)
	if err != nil {
		return err
	}
	defer c.unlock()
	c.address, c.port = *address, *port
	if c.running() {
		c.progress("is up already")
		err = c.replaceOwner(owner)
	} else {
		err = c.bringUp(interrupted, *nodes, owner)
	}
	if err != nil {
		return err
	}
	fmt.Printf("KUBECONFIG=%s\nAUDIT_LOG=%s\n", c.kubeconfig(), c.auditLog())
	return nil
}

func parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w (run appstack-cluster without arguments for its usage)", flags.Name(), err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q (run appstack-cluster without arguments for its usage)", flags.Name(), flags.Arg(0))
	}
	return nil
}

func (c *cluster) kubeconfig() string { return c.path("kubeconfig") }
func (c *cluster) auditLog() string   { return c.path("audit.log") }

func (c *cluster) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "cluster %s: %s\n", c.name, fmt.Sprintf(format, args...))
}

// bringUp starts a cluster from nothing; when it fails, nothing is left.
func (c *cluster) bringUp(ctx context.Context, nodes int, owner *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("not usable after %v", startPatience))
	defer cancel()
	var err error
	for range 5 {
		// What is there is stale: left by a launcher or a machine that was killed, or by our last attempt.
		if err = errors.Join(c.stop(), c.wipe()); err != nil {
			return err
		}
		if err = c.boot(ctx, nodes, owner); !errors.Is(err, errPortTaken) || c.port != 0 {
			break
		}
		c.progress("%v; trying another one", errPortTaken)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting cluster %q: %w", c.name, err), c.stopAndRemove())
	}
	return nil
}

func (c *cluster) boot(ctx context.Context, nodes int, owner *process) error {
	begin := time.Now()
	c.exited = make(chan exit, len(programs)+1)
	port := c.port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return err
		}
	}
	if err := c.writeConfiguration(port); err != nil {
		return err
	}
	if owner != nil {
		if err := c.startOwnerWatch(*owner); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig())
	if err != nil {
		return err
	}
	config.UserAgent, config.QPS = "appstack-cluster", -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}

	if err := c.startServers(port); err != nil {
		return err
	}
	err = c.await(ctx, "kube-apiserver", "the API to be ready", func() bool {
		answer, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil && string(answer) == "ok"
	})
	if err != nil {
		return err
	}
	c.progress("API ready after %.1f s", time.Since(begin).Seconds())
	if err := c.startControllers(); err != nil {
		return err
	}
	if c.address == "" {
		if err := populate(ctx, client, nodes); err != nil {
			return err
		}
	}
	err = c.await(ctx, "kube-controller-manager", "the default service account", func() bool {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	if err != nil {
		return err
	}
	if c.address == "" {
		err = c.await(ctx, "kwok", "the nodes to be ready", func() bool { return nodesUsable(ctx, client, nodes) })
		if err != nil {
			return err
		}
	}
	c.progress("usable after %.1f s", time.Since(begin).Seconds())
	return os.WriteFile(c.readyFile(), nil, 0o600)
}

// await returns when the condition holds, or with an error that shows why it cannot: one of the programs has ended.
// The suspect is the one whose log is shown if the time is up.
func (c *cluster) await(ctx context.Context, suspect, what string, done func() bool) error {
	for {
		select {
		case e := <-c.exited:
			tail := c.logTail(e.program)
			if e.program == "kube-apiserver" && strings.Contains(tail, "address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("%s has ended (%v); %s", e.program, e.err, tail)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%w, waiting for %s; %s: %s", context.Cause(ctx), what, suspect, c.logTail(suspect))
			}
			return fmt.Errorf("interrupted while waiting for %s", what)
		case <-time.After(20 * time.Millisecond):
			if done() {
				return nil
			}
		}
	}
}

// freePort returns a port that nobody listens on. It is below the range from which the kernel takes the ports of
// outgoing connections, so that only another server can take it before ours does; then we try again.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port found between 20000 and 32000 on 127.0.0.1")
}
