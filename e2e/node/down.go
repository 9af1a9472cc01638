package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func down(args []string) error {
	flags := newFlags("down")
	all := flags.Bool("all", false, "all benches of this machine")
	b, _, err := parse(flags, args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("only root can end a bench")
	}
	if !*all {
		return b.end()
	}
	var failed error
	for _, name := range benchNames() {
		failed = errors.Join(failed, (&bench{name, filepath.Join(benches, name)}).end())
	}
	return failed
}

func benchNames() []string {
	entries, _ := os.ReadDir(benches)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func list(args []string) error {
	for _, name := range benchNames() {
		b := &bench{name, filepath.Join(benches, name)}
		state := "stale or starting"
		if b.running() {
			state = "up"
		}
		fmt.Printf("%s\t%s\t%s\n", name, state, b.kubeconfig())
	}
	return nil
}

// end takes a bench down, whatever is left of it.
func (b *bench) end() error {
	dir, err := b.lock(true) // also if there is no directory: there may be processes and cgroups
	if err != nil {
		return err
	}
	defer dir.Close()
	begin := time.Now()
	found := len(b.processes("serve"))+len(b.processes("site")) > 0
	if err := b.sweep(); err != nil {
		return fmt.Errorf("ending bench %s: %w", b.name, err)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	_ = os.Remove(benches) // fails while there are others, as it should
	if found {
		fmt.Fprintf(os.Stderr, "bench %s: ended after %.1f s\n", b.name, time.Since(begin).Seconds())
	}
	return nil
}

// sweep removes all but the directory itself, and with it the lock.
func (b *bench) sweep() error {
	// The site first, so that serve reaps it: not every machine has an init that does. The kernel ends the machines.
	for _, role := range []string{"site", "serve", "machine"} {
		if err := killAll(b.processes(role)); err != nil {
			return err
		}
	}
	if err := b.removeCgroups(); err != nil {
		return err
	}
	entries, err := os.ReadDir(b.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(b.path(e.Name())))
	}
	return err
}

func (b *bench) removeCgroups() error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var left []string
		for _, root := range roots {
			ours, _ := filepath.Glob(filepath.Join(root, b.cgroup("*")))
			for _, top := range ours {
				removeCgroup(top)
				if _, err := os.Stat(top); !errors.Is(err, fs.ErrNotExist) {
					left = append(left, top)
				}
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroups that cannot be removed: %s", strings.Join(left, ", "))
		}
	}
}

// removeCgroup removes a tree of cgroups, the inner ones first. It may fail for a moment after the last process.
func removeCgroup(top string) {
	var tree []string
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			tree = append(tree, path)
		}
		return nil
	})
	for _, path := range slices.Backward(tree) {
		_ = syscall.Rmdir(path)
	}
}
