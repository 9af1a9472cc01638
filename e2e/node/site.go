package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Addresses. Each bench has a network namespace of its own, so all have the same.
const (
	gateway = "172.30.0.1" // the site, on the wire between the nodes: the API server, and the way out
	// Something to reach outside of the cluster, by this address or as outside.example: answers HTTP on port 80.
	world = "198.51.100.1"
	// For load balancers that a test plays: the site sends it to the first node.
	ingressRange = "172.30.1.0/24"
	podRange     = "10.244.0.0/16"
	serviceRange = "10.96.0.0/16"
	clusterDNS   = "10.96.0.10"
)

func nodeAddress(i int) string { return fmt.Sprintf("172.30.0.%d", 10+i) }
func podCIDR(i int) string     { return fmt.Sprintf("10.244.%d.0/24", i) }

// siteState is what pid 1 of a site knows.
type siteState struct {
	*bench
	plan     *plan
	begin    time.Time
	children *children
	log      *os.File

	lock     sync.Mutex
	machines map[string]*power
}

type power struct {
	index int
	pid   int // 0: off
	ended <-chan syscall.WaitStatus
}

// site is pid 1 of a bench's namespaces. Whatever fails before the bench is usable is told and ends it; afterwards it
// goes on until it is killed.
func site(args []string) error {
	b, p, err := parsePlan("site", args)
	if err != nil {
		return err
	}
	s := &siteState{bench: b, plan: p, begin: time.Now(), children: newChildren(), log: os.Stderr, machines: map[string]*power{}}
	if err := s.build(); err != nil {
		_ = writeWhole(b.failedFile(), err.Error())
		return err
	}
	select {}
}

// writeWhole makes a file that nobody sees half written.
func writeWhole(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *siteState) progress(format string, args ...any) {
	f, err := os.OpenFile(s.progressFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintf(f, "%4.1f s  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
		f.Close()
	}
}

func (s *siteState) run(args ...string) error {
	_, err := s.children.run(nil, args...)
	return err
}

func (s *siteState) build() error {
	if err := s.separate(); err != nil {
		return err
	}
	if err := s.wire(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	for i := range s.plan.nodes {
		if err := s.powerOn(i); err != nil {
			return err
		}
	}
	s.progress("machines are on")
	if err := s.startControlPlane(); err != nil {
		return err
	}
	s.progress("control plane is up")
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig())
	if err != nil {
		return err
	}
	config.UserAgent, config.QPS = program, -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if err := s.admit(ctx, client); err != nil {
		return err
	}
	go s.provideVolumes(context.Background(), client)
	if err := s.apply(); err != nil {
		return err
	}
	if err := s.await(ctx, client); err != nil {
		return err
	}
	return writeWhole(s.readyFile(), "")
}

// separate cuts the mounts of the site off from the machine's, but for the volumes: what is mounted below them here
// shows on every node.
func (s *siteState) separate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	volumes := s.path("volumes")
	if err := os.MkdirAll(volumes, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(volumes, volumes, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if err := syscall.Mount("", volumes, "", syscall.MS_SHARED, ""); err != nil {
		return err
	}
	return syscall.Sethostname([]byte("outside"))
}

// wire makes the network that the nodes are plugged into, and the world outside.
func (s *siteState) wire() error {
	for _, words := range []string{
		"link set lo up",
		"addr add " + world + "/32 dev lo",
		"link add wire type bridge",
		"addr add " + gateway + "/24 dev wire",
		"link set wire up",
		"route add " + ingressRange + " via " + nodeAddress(0),
	} {
		if err := s.run(append([]string{"ip"}, strings.Fields(words)...)...); err != nil {
			return err
		}
	}
	for i := range s.plan.nodes {
		if err := s.run("ip", "route", "add", podCIDR(i), "via", nodeAddress(i)); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	shop, err := net.Listen("tcp", world+":80")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(shop, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "outside sees %s\n", r.RemoteAddr)
		}))
	}()
	return nil
}

// powerOn starts the machine of a node and plugs it in.
func (s *siteState) powerOn(i int) error {
	name := nodeName(i)
	s.lock.Lock()
	defer s.lock.Unlock()
	if m := s.machines[name]; m != nil && m.pid != 0 {
		return nil
	}
	if err := os.MkdirAll(s.path(name, "log"), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(s.path(name, "log", "machine.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	pid, ended, err := s.children.start(child{
		path: "/proc/self/exe", output: log,
		args: s.arguments("machine", fmt.Sprint(i), fmt.Sprint(s.plan.nodes), fmt.Sprint(s.plan.port), s.plan.images),
		flags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC,
	})
	if err != nil {
		return err
	}
	s.machines[name] = &power{i, pid, ended}
	if err := s.run("ip", "link", "add", fmt.Sprintf("port%d", i), "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(pid)); err != nil {
		return err
	}
	return s.run("ip", "link", "set", fmt.Sprintf("port%d", i), "master", "wire", "up")
}

// powerOff ends everything on a node at once. Its disk stays.
func (s *siteState) powerOff(name string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	m := s.machines[name]
	if m == nil || m.pid == 0 {
		return nil
	}
	if err := syscall.Kill(m.pid, syscall.SIGKILL); err != nil {
		return err
	}
	<-m.ended
	m.pid = 0
	// The other end of the cable goes with the namespace, some time after; a new one could not have its name.
	port := fmt.Sprintf("port%d", m.index)
	for range 200 {
		if _, err := net.InterfaceByName(port); err != nil {
			return nil
		}
		_ = s.run("ip", "link", "delete", port)
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s stays", port)
}

func (s *siteState) startControlPlane() error {
	text, err := s.children.run([]string{"APPSTACK_CLUSTERS=" + s.path("control-plane")},
		s.plan.cluster, "up", "--name", s.name, "--address", gateway, "--port", fmt.Sprint(s.plan.port))
	if err != nil {
		return err
	}
	made := filepath.Dir(s.auditLog())
	kubeconfig, err := os.ReadFile(filepath.Join(made, "kubeconfig"))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	return writeWhole(s.kubeconfig(), string(kubeconfig))
}

// admit makes the Node objects, so that the range of each node's pods is ours to choose, and lets the machines join.
func (s *siteState) admit(ctx context.Context, client kubernetes.Interface) error {
	if err := s.issueKeys(filepath.Join(filepath.Dir(s.auditLog()), "pki")); err != nil {
		return err
	}
	for i := range s.plan.nodes {
		name := nodeName(i)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: architecture(),
				corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3),
			}},
			Spec: corev1.NodeSpec{PodCIDR: podCIDR(i), PodCIDRs: []string{podCIDR(i)}},
		}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return err
		}
		// The policy agent asks the Node for its address.
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress(i)}, {Type: corev1.NodeHostName, Address: name}}
		if err := s.reportAddress(ctx, client, node); err != nil {
			return err
		}
		if err := writeWhole(s.path(name, "join"), ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *siteState) reportAddress(ctx context.Context, client kubernetes.Interface, want *corev1.Node) error {
	for {
		node, err := client.CoreV1().Nodes().Get(ctx, want.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		node.Status.Addresses = want.Status.Addresses
		if _, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

// apply makes what every bench has: DNS, metrics, storage classes.
func (s *siteState) apply() error {
	file := s.path("base.yaml")
	if err := writeWhole(file, baseObjects()); err != nil {
		return err
	}
	_, err := s.children.run([]string{"KUBECONFIG=" + s.kubeconfig()},
		filepath.Join(filepath.Dir(s.plan.cluster), "kubectl"), "apply", "--server-side", "--validate=false", "-f", file)
	return err
}

// await returns when the nodes are Ready, their policies in force, and names are answered.
func (s *siteState) await(ctx context.Context, client kubernetes.Interface) error {
	return s.awaitAll(ctx, []condition{
		{"the nodes to be Ready", func() bool {
			nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			ready := 0
			if err == nil {
				for _, node := range nodes.Items {
					for _, c := range node.Status.Conditions {
						if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0 {
							ready++
						}
					}
				}
			}
			return ready == s.plan.nodes
		}},
		{"the policy agents", func() bool {
			quick := &http.Client{Timeout: time.Second}
			for i := range s.plan.nodes {
				answer, err := quick.Get(fmt.Sprintf("http://%s:%d/healthz", nodeAddress(i), policyHealthPort))
				if err != nil {
					return false
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					return false
				}
			}
			return true
		}},
		{"the cluster's DNS", func() bool {
			d, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
			return err == nil && d.Status.ReadyReplicas > 0
		}},
	})
}

type condition struct {
	what string
	done func() bool
}

func (s *siteState) awaitAll(ctx context.Context, all []condition) error {
	for _, c := range all {
		for !c.done() {
			if ctx.Err() != nil {
				return fmt.Errorf("waited in vain for %s; %s", c.what, s.troubles())
			}
			if failed, err := filepath.Glob(s.path("node-*", "failed")); err == nil && len(failed) > 0 {
				text, _ := os.ReadFile(failed[0])
				return fmt.Errorf("%s: %s", filepath.Base(filepath.Dir(failed[0])), text)
			}
			time.Sleep(50 * time.Millisecond)
		}
		s.progress("%s: there", c.what)
	}
	return nil
}

func (s *siteState) troubles() string {
	return tail(s.path(nodeName(0), "log", "kubelet.log"))
}
