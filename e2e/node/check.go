package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// What the machine must have, by the Debian package that brings it.
var required = []struct {
	name, pack string
	paths      []string // where it is looked for; without any, on the PATH
}{
	{"containerd", "containerd", nil},
	{"ctr", "containerd", nil},
	{"runc", "runc", nil},
	{"CNI plugins bridge, host-local, loopback, portmap", "containernetworking-plugins", cniDirs("portmap")},
	{"iptables", "iptables", nil},
	{"iptables-restore", "iptables", nil},
	{"nft", "nftables", nil},
	{"ipset", "ipset", nil},
	{"conntrack", "conntrack", nil},
	{"ip", "iproute2", nil},
	{"nsenter", "util-linux", nil},
	{"a static busybox", "busybox-static", []string{busybox}},
}

const (
	busybox = "/bin/busybox"
	// The daemons and we look here, whatever the caller's PATH is.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

func cniDirs(plugin string) []string {
	return []string{"/usr/lib/cni/" + plugin, "/opt/cni/bin/" + plugin}
}

// cniDir is where the plugins are.
func cniDir() string {
	for _, path := range cniDirs("portmap") {
		if _, err := os.Stat(path); err == nil {
			return filepath.Dir(path)
		}
	}
	return "/opt/cni/bin"
}

func find(program string) (string, error) {
	if filepath.IsAbs(program) {
		return program, nil
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", program, searchPath)
}

func packages([]string) error {
	fmt.Println(strings.Join(allPackages(), " "))
	return nil
}

func allPackages() []string {
	var all []string
	for _, r := range required {
		if !slices.Contains(all, r.pack) {
			all = append(all, r.pack)
		}
	}
	return all
}

func check([]string) error {
	var missing []string
	lacks := func(format string, args ...any) { missing = append(missing, fmt.Sprintf(format, args...)) }
	if runtime.GOOS != "linux" {
		return errors.New("real nodes need Linux; use the simulated ones (make cluster-up), or kind (make e2e-kind)")
	}
	if os.Geteuid() != 0 {
		lacks("root: namespaces, mounts and firewalls are made (run it with sudo)")
	}
	wanted := map[string]bool{}
	for _, r := range required {
		found := false
		if r.paths == nil {
			_, err := find(r.name)
			found = err == nil
		}
		for _, path := range r.paths {
			_, err := os.Stat(path)
			found = found || err == nil
		}
		if !found {
			lacks("%s (package %s)", r.name, r.pack)
			wanted[r.pack] = true
		}
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		lacks("the kernel's bridge filter, without which policies do not hold between pods of one node: modprobe br_netfilter")
	}
	if !supportsOverlay() {
		lacks("the kernel's overlay file system: modprobe overlay")
	}
	if _, err := cgroupHierarchies(); err != nil {
		lacks("cgroups: %v", err)
	}
	const writable = 2
	if syscall.Access("/dev/shm", writable) != nil {
		lacks("/dev/shm: a tmpfs of 2 GiB or more")
	}
	if len(missing) == 0 {
		return nil
	}
	text := "this machine cannot run real nodes; it lacks\n  " + strings.Join(missing, "\n  ")
	if len(wanted) > 0 {
		text += "\nGet the packages with `make node-packages`, or\n  apt-get install --no-install-recommends " + strings.Join(allPackages(), " ")
	}
	return errors.New(text)
}

func supportsOverlay() bool {
	text, err := os.ReadFile("/proc/filesystems")
	return err == nil && strings.Contains(string(text), "\toverlay\n")
}
