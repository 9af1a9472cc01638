package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// machineState is what pid 1 of a node knows.
type machineState struct {
	*bench
	name         string
	index, count int
	port         int // of the API server
	images       string
	children     *children

	lock    sync.Mutex
	daemons map[string]*running
}

type running struct {
	pid   int
	ended <-chan syscall.WaitStatus
}

// machine is pid 1 of a node: it makes the node's world, runs the daemons and starts and stops them on request.
func machine(args []string) error {
	words, b, err := named("machine", args)
	if err != nil {
		return err
	}
	if len(words) != 4 {
		return errors.New("machine is started by site")
	}
	index, _ := strconv.Atoi(words[0])
	count, _ := strconv.Atoi(words[1])
	port, _ := strconv.Atoi(words[2])
	m := &machineState{
		bench: b, name: nodeName(index), index: index, count: count, port: port, images: words[3],
		children: newChildren(), daemons: map[string]*running{},
	}
	_ = os.Remove(m.file("failed"))
	if err := m.boot(); err != nil {
		_ = writeWhole(m.file("failed"), err.Error())
		return err
	}
	select {}
}

func (m *machineState) file(elem ...string) string {
	return m.path(append([]string{m.name}, elem...)...)
}

func (m *machineState) boot() error {
	images, err := os.Open(m.images) // while we see the directories of the machine
	if err != nil {
		return err
	}
	defer images.Close()
	if err := m.mounts(); err != nil {
		return err
	}
	if err := m.network(); err != nil {
		return err
	}
	if err := m.makeCgroups(); err != nil {
		return err
	}
	for path, text := range m.configuration() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := m.start("containerd"); err != nil {
		return err
	}
	if err := m.until("containerd", 20*time.Second, func() bool {
		c, err := net.Dial("unix", containerdSocket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}); err != nil {
		return err
	}
	if _, err := m.children.runWith(child{args: importImages("-"), input: images}); err != nil {
		return err
	}
	if err := m.until("the control plane", startPatience, func() bool {
		_, err := os.Stat(m.file("join"))
		return err == nil
	}); err != nil {
		return err
	}
	for _, daemon := range []string{"kubelet", "kube-proxy", "policy"} {
		if err := m.start(daemon); err != nil {
			return err
		}
	}
	return answer(m.file("machine.sock"), func(_ net.Conn, words []string) (net.Conn, error) {
		if len(words) != 2 || m.command(words[1]) == nil {
			return nil, fmt.Errorf("unknown request %q", strings.Join(words, " "))
		}
		switch words[0] {
		case "stop":
			return nil, m.stop(words[1])
		case "start":
			return nil, m.start(words[1])
		case "restart":
			if err := m.stop(words[1]); err != nil {
				return nil, err
			}
			return nil, m.start(words[1])
		}
		return nil, fmt.Errorf("unknown request %q", words[0])
	})
}

func (m *machineState) until(what string, patience time.Duration, done func() bool) error {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v for %s; %s", patience, what, tail(m.file("log", what+".log")))
		}
	}
	return nil
}

// mounts gives the node directories of its own where daemons write, on "disk" in the bench's directory.
func (m *machineState) mounts() error {
	// What the site mounts comes in, and nothing goes out.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := m.freshDev(); err != nil {
		return err
	}
	if err := m.freshSys(); err != nil {
		return err
	}
	// What has been in /run does not survive a power cut.
	if err := os.RemoveAll(m.file("run")); err != nil {
		return err
	}
	volumes := m.path("volumes")
	for _, dir := range []struct {
		from, to string
		mode     os.FileMode
	}{
		{m.file("run"), "/run", 0o755}, {m.file("tmp"), "/tmp", 0o1777},
		{m.file("var-log"), "/var/log", 0o755}, {m.file("var-lib"), "/var/lib", 0o755},
		{volumes, volumesDir, 0o755},
	} {
		if err := os.MkdirAll(dir.from, 0o755); err != nil {
			return err
		}
		if dir.from != volumes {
			if err := syscall.Chmod(dir.from, uint32(dir.mode.Perm())|uint32(dir.mode&0o1000)); err != nil {
				return err
			}
		} else if err := os.MkdirAll(dir.to, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(dir.from, dir.to, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %s: %w", dir.to, err)
		}
	}
	for _, dir := range []string{"/run/lock", "/run/containerd", "/var/lib/containerd", "/var/lib/kubelet/plugins"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// The kubelet would write these, which are the whole machine's. It is content when they hold what it wants.
	for name, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		if err := m.cover("/proc/sys/"+name, value+"\n"); err != nil {
			return err
		}
	}
	if err := m.claimRoom(); err != nil {
		return err
	}
	// Without a resolver the pull of an image that is not there fails at once.
	if err := m.cover("/etc/resolv.conf", "nameserver 127.0.0.1\n"); err != nil {
		return err
	}
	// A host path that is missing is made, and nothing of that may stay on the machine.
	if err := syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making / read-only: %w", err)
	}
	// Pods' mounts must reach their containers.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return err
	}
	return syscall.Sethostname([]byte(m.name))
}

// freshDev gives the node a /dev of its own, with what the daemons use of the machine's.
func (m *machineState) freshDev() error {
	old, err := syscall.Open("/dev", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(old)
	if err := syscall.Mount("tmpfs", "/dev", "tmpfs", 0, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, name := range []string{"shm", "pts", "mqueue", "null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse"} {
		from, to := fmt.Sprintf("/proc/self/fd/%d/%s", old, name), "/dev/"+name
		info, err := os.Stat(from)
		if err != nil {
			continue // not every machine has all
		}
		if info.IsDir() {
			err = os.Mkdir(to, 0o755)
		} else {
			err = os.WriteFile(to, nil, 0o644)
		}
		if err != nil {
			return err
		}
		if err := syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("binding %s: %w", to, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// freshSys shows the devices of the node's network, below the cgroups of the machine.
func (m *machineState) freshSys() error {
	kept := m.file("cgroups")
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return err
	}
	const cgroups = "/sys/fs/cgroup"
	if err := syscall.Mount(cgroups, kept, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := syscall.Mount(kept, cgroups, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	return syscall.Unmount(kept, syscall.MNT_DETACH)
}

// claimRoom makes the kubelet report more processors and memory than there are, or the stacks could not be scheduled on a
// small machine. It looks for them where only it looks.
func (m *machineState) claimRoom() error {
	// It counts all, and puts pods on those that are online.
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return err
	}
	files := map[string]string{"online": string(online)}
	for i := range claimedCPUs {
		files[fmt.Sprintf("cpu%d/topology/core_id", i)] = fmt.Sprintln(i)
		files[fmt.Sprintf("cpu%d/topology/physical_package_id", i)] = "0\n"
	}
	processors, none := m.file("covers", "processors"), m.file("covers", "none")
	for name, text := range files {
		path := filepath.Join(processors, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(none, 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{processors: "/sys/devices/system/cpu", none: "/sys/devices/system/node"} {
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("covering %s: %w", to, err)
		}
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(memory), "\n") // the first line is the total
	return m.cover("/proc/meminfo", fmt.Sprintf("MemTotal: %d kB\n%s", claimedKiB, rest))
}

// cover puts a file of our own over one of the machine's.
func (m *machineState) cover(path, text string) error {
	own := m.file("covers", strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "_"))
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(own, path, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("covering %s: %w", path, err)
	}
	return nil
}

func (m *machineState) network() error {
	if err := m.until("the cable", 10*time.Second, func() bool {
		_, err := net.InterfaceByName("eth0")
		return err == nil
	}); err != nil {
		return err
	}
	lines := []string{
		"link set lo up", "link set eth0 up",
		"addr add " + nodeAddress(m.index) + "/24 dev eth0",
		"route add default via " + gateway,
	}
	for i := range m.count {
		if i != m.index {
			lines = append(lines, "route add "+podCIDR(i)+" via "+nodeAddress(i))
		}
	}
	for _, line := range lines {
		if _, err := m.children.run(nil, append([]string{"ip"}, strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
		// Or else policies do not hold between pods of one node.
		"bridge/bridge-nf-call-iptables": "1",
	} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0) // there may be none
	return nil
}

// makeCgroups makes the root of the node's cgroups. A new cpuset of version 1 has nothing until it is given something.
// Beside it run control plane, kubelets and tests, each thread of which weighs half as much as all pods of a node together. With
// a smaller share pods stand still, and probes and clients time out; with a much larger one kubelets do, and nodes are taken for lost.
func (m *machineState) makeCgroups() error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		own := filepath.Join(root, m.cgroup(m.name))
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		for _, given := range []string{"cpuset.cpus", "cpuset.mems"} {
			if text, err := os.ReadFile(filepath.Join(root, given)); err == nil {
				if err := os.WriteFile(filepath.Join(own, given), text, 0); err != nil {
					return err
				}
			}
		}
		for file, share := range map[string]string{"cpu.shares": "2048", "cpu.weight": "200"} {
			if _, err := os.Stat(filepath.Join(own, file)); err != nil {
				continue // another controller, or the other version
			}
			if err := os.WriteFile(filepath.Join(own, file), []byte(share), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *machineState) start(daemon string) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if r := m.daemons[daemon]; r != nil && len(r.ended) == 0 {
		return nil
	}
	log, err := os.OpenFile(m.file("log", daemon+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p := child{args: m.command(daemon), output: log, env: []string{"HOME=/tmp"}}
	if daemon != "containerd" {
		p.path = "/proc/self/exe"
	}
	pid, ended, err := m.children.start(p)
	m.daemons[daemon] = &running{pid, ended}
	return err
}

func (m *machineState) stop(daemon string) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	r := m.daemons[daemon]
	if r == nil {
		return nil
	}
	delete(m.daemons, daemon)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if len(r.ended) == 0 {
			_ = syscall.Kill(r.pid, signal)
		}
		select {
		case <-r.ended:
			return nil
		case <-time.After(10 * time.Second):
		}
	}
	return fmt.Errorf("%s does not end", daemon)
}
