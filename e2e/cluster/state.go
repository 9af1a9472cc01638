package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	ownerWatch = "owner-watch"
	// stateVariable names a directory for the state of clusters, of which other launchers then know nothing.
	stateVariable = "APPSTACK_CLUSTERS"
)

// programs are the parts of a running cluster, in the order in which they are stopped.
var programs = []string{"kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"}

// cluster is the state of one cluster: a directory with keys, configuration, logs, the data of etcd,
// and one pid file for each process.
type cluster struct {
	name, dir string
	address   string // at which real nodes find the API; without one the nodes are simulated
	port      int    // of the API server, if it was chosen for us
	lock      *os.File
	exited    chan exit // of the processes that are started
}

type exit struct {
	program string
	err     error
}

// stateRoot holds one directory per cluster. In memory if possible: etcd is slow on a slow disk.
func stateRoot() string {
	if root := os.Getenv(stateVariable); root != "" {
		return root
	}
	base := os.TempDir()
	const writable = 2
	if syscall.Access("/dev/shm", writable) == nil {
		base = "/dev/shm"
	}
	return filepath.Join(base, fmt.Sprintf("appstack-clusters-%d", os.Getuid()))
}

func checkName(name string) error {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`).MatchString(name) || name == "all" {
		return fmt.Errorf("cluster name %q: use up to 42 small letters, digits and inner hyphens, but not the word all", name)
	}
	return nil
}

// lockCluster waits until no other launcher works on the cluster of that name.
// It returns nil if the cluster has no state and create is not set.
func lockCluster(name string, create bool) (*cluster, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c := &cluster{name: name, dir: filepath.Join(stateRoot(), name)}
	for {
		if create {
			if err := makeStateDir(c.dir); errors.Is(err, fs.ErrNotExist) {
				continue // another launcher has just removed the root
			} else if err != nil {
				return nil, err
			}
		}
		dir, err := os.Open(c.dir)
		if errors.Is(err, fs.ErrNotExist) {
			if create {
				continue
			}
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		// The lock is on the directory itself, so that removing the cluster removes the lock too.
		// Hence the second look: the launcher that we waited for may have removed it.
		if err := flock(dir); err != nil {
			dir.Close()
			return nil, fmt.Errorf("locking %s: %w", c.dir, err)
		}
		held, err1 := dir.Stat()
		now, err2 := os.Stat(c.dir)
		if err1 == nil && err2 == nil && os.SameFile(held, now) {
			c.lock = dir
			return c, nil
		}
		dir.Close()
	}
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

// makeStateDir refuses a root that someone else has put there: administrator keys are written below it.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.Lstat(filepath.Dir(dir))
	if err != nil {
		return err
	}
	if stat, ok := root.Sys().(*syscall.Stat_t); !root.IsDir() || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to another user; remove it or set TMPDIR", filepath.Dir(dir))
	}
	return nil
}

func (c *cluster) unlock() { c.lock.Close() }

func (c *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

func (c *cluster) pidFile(program string) string { return c.path(program + ".pid") }

func (c *cluster) stagesFile() string { return c.path("stages.yaml") }

// readyFile exists once the cluster has been usable.
func (c *cluster) readyFile() string { return c.path("ready") }

func (c *cluster) running() bool {
	if _, err := os.Stat(c.readyFile()); err != nil {
		return false
	}
	_, err := os.Stat(c.stagesFile())
	for _, program := range programs {
		if program == "kwok" && err != nil {
			continue // the nodes are real
		}
		if p, ok := readPidFile(c.pidFile(program)); !ok || !p.alive() {
			return false
		}
	}
	return true
}

// start runs a program of this same file in a session of its own, so that it outlives the launcher and its terminal.
func (c *cluster) start(program string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(c.path("logs", program+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Args = append([]string{program}, args...)
	cmd.Dir = c.dir
	// Nothing of the caller's environment or home directory configures these programs.
	cmd.Env = []string{"HOME=" + c.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), stateVariable + "=" + os.Getenv(stateVariable)}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", program, err)
	}
	p, _ := findProcess(cmd.Process.Pid)
	err = os.WriteFile(c.pidFile(program), []byte(p.String()), 0o600)
	exited := c.exited // a later attempt has a channel of its own
	go func() { exited <- exit{program, cmd.Wait()} }()
	return err
}

// stop ends the processes of the cluster, except the caller.
func (c *cluster) stop() error {
	// The API server goes before etcd: it would wait for etcd in vain.
	for _, group := range [][]string{append([]string{ownerWatch}, programs[:4]...), programs[4:]} {
		var processes []process
		for _, program := range group {
			if p, ok := readPidFile(c.pidFile(program)); ok && p.pid != os.Getpid() {
				processes = append(processes, p)
			}
		}
		if err := terminate(processes, 5*time.Second); err != nil {
			return fmt.Errorf("stopping cluster %q: %w", c.name, err)
		}
	}
	return nil
}

// wipe removes all state but keeps the directory, and with it the lock.
func (c *cluster) wipe() error {
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(c.path(e.Name())))
	}
	return err
}

func (c *cluster) stopAndRemove() error {
	if err := c.stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	_ = os.Remove(stateRoot()) // fails while there are other clusters, as it should
	return nil
}

// logTail returns the last lines of a program's log, for an error message.
func (c *cluster) logTail(program string) string {
	text, err := os.ReadFile(c.path("logs", program+".log"))
	if err != nil || len(text) == 0 {
		return "(its log is empty)"
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-10):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), 300)] // some end in a stack trace
	}
	return "the last lines of its log:\n  " + strings.Join(lines, "\n  ")
}
