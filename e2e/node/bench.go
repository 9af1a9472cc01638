package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	program = "appstack-node"
	// Where the benches are. In memory: etcd and the unpacking of images are slow on a slow disk.
	benches = "/dev/shm/appstack-nodes"
)

// bench is one cluster: its name is in its directory, its cgroups and the command lines of its processes, so that all
// of them are found without a list.
type bench struct{ name, dir string }

func newBench(name string) (*bench, error) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`).MatchString(name) || name == "all" {
		return nil, fmt.Errorf("bench name %q: use up to 20 small letters, digits and inner hyphens, but not the word all", name)
	}
	return &bench{name, filepath.Join(benches, name)}, nil
}

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

func (b *bench) kubeconfig() string { return b.path("kubeconfig") }
func (b *bench) socket() string     { return b.path("site.sock") }

// auditLog is where e2e/cluster has it, below the root that we choose for it.
func (b *bench) auditLog() string { return b.path("control-plane", b.name, "audit.log") }

// The outcome of a start is one of these files.
func (b *bench) readyFile() string    { return b.path("ready") }
func (b *bench) failedFile() string   { return b.path("failed") }
func (b *bench) progressFile() string { return b.path("progress") }

func (b *bench) running() bool {
	_, err := os.Stat(b.readyFile())
	return err == nil && len(b.processes("site")) == 1
}

// lock waits until nobody else starts or ends this bench. It returns nil if there is no directory and it is not to be
// made. The lock goes with the directory, and with the process.
func (b *bench) lock(create bool) (*os.File, error) {
	for {
		if create {
			if err := os.MkdirAll(b.dir, 0o700); err != nil {
				return nil, err
			}
			var root syscall.Stat_t
			if err := syscall.Lstat(benches, &root); err == nil && (root.Uid != 0 || root.Mode&syscall.S_IFMT != syscall.S_IFDIR) {
				return nil, fmt.Errorf("%s is not a directory of root's: remove it", benches)
			}
		}
		dir, err := os.Open(b.dir)
		if errors.Is(err, fs.ErrNotExist) {
			if create {
				continue // somebody has just removed it
			}
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		for err = syscall.EINTR; err == syscall.EINTR; {
			err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
		}
		held, err1 := dir.Stat()
		now, err2 := os.Stat(b.dir)
		if err == nil && err1 == nil && err2 == nil && os.SameFile(held, now) {
			return dir, nil
		}
		dir.Close()
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", b.dir, err)
		}
	}
}

// arguments of a process of this bench; processes finds it by them.
func (b *bench) arguments(role string, more ...string) []string {
	return append([]string{program, role, "--name", b.name}, more...)
}

// processes are those of a role, by what the kernel says.
func (b *bench) processes(role string, more ...string) []int {
	want := strings.Join(b.arguments(role, more...), "\x00") + "\x00"
	var found []int
	for _, pid := range allProcesses() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.HasPrefix(line, []byte(want)) && pid != os.Getpid() && alive(pid) {
			found = append(found, pid)
		}
	}
	return found
}

func allProcesses() []int {
	entries, _ := os.ReadDir("/proc")
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// alive says no of a process that only waits to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(rest) > 0 && !strings.Contains("ZX", rest[0])
}

// startTime tells a process from a later one with the same id.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	const field = 19 // proc(5) has it as field 22; the first two are cut off
	rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(rest) <= field {
		return ""
	}
	return rest[field]
}

// killAll ends processes for good and returns when they have gone.
func killAll(pids []int) error {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may end in between
	}
	// The first process of a namespace goes when all others in it have gone.
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if pids = slices.DeleteFunc(pids, func(pid int) bool { return !alive(pid) }); len(pids) == 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL", pids[0])
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// nodes are those that were made, by their directories.
func (b *bench) nodes() []string {
	found, _ := filepath.Glob(b.path("node-[0-9]*"))
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

func (b *bench) checkNode(name string) error {
	if !slices.Contains(b.nodes(), name) {
		return fmt.Errorf("bench %s has no node %q (it has %s)", b.name, name, strings.Join(b.nodes(), ", "))
	}
	return nil
}

// cgroup is the root of all cgroups of a node, below each hierarchy.
func (b *bench) cgroup(node string) string { return fmt.Sprintf("appstack_%s_%s", b.name, node) }

// cgroupHierarchies are the mount points: one of version 2, or one for each controller of version 1.
func cgroupHierarchies() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.controllers"); err == nil {
		return []string{root}, nil
	}
	entries, err := os.ReadDir(root)
	var found []string
	for _, e := range entries {
		if e.IsDir() { // links are other names
			found = append(found, filepath.Join(root, e.Name()))
		}
	}
	return found, err
}

// tail is the end of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return fmt.Sprintf("(%s is empty)", path)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-8):]
	for i := range lines {
		lines[i] = lines[i][:min(len(lines[i]), 300)]
	}
	return fmt.Sprintf("the end of %s:\n  %s", path, strings.Join(lines, "\n  "))
}
