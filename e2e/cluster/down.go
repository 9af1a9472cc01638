package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

func down(args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	name := flags.String("name", defaultName, "name of the cluster")
	all := flags.Bool("all", false, "all clusters of this user")
	if err := parse(flags, args); err != nil {
		return err
	}
	names := []string{*name}
	if *all {
		var err error
		if names, err = clusterNames(); err != nil {
			return err
		}
	}
	var failed error
	for _, name := range names {
		failed = errors.Join(failed, takeDown(name))
	}
	return failed
}

func takeDown(name string) error {
	c, err := lockCluster(name, false)
	if c == nil {
		return err // none: there is nothing to stop
	}
	defer c.unlock()
	if err := c.stopAndRemove(); err != nil {
		return err
	}
	c.progress("stopped")
	return nil
}

func clusterNames() ([]string, error) {
	entries, err := os.ReadDir(stateRoot())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// list does not wait for a launcher that is at work: what it shows is a momentary picture.
func list(args []string) error {
	names, err := clusterNames()
	for _, name := range names {
		c := &cluster{name: name, dir: stateRoot() + "/" + name}
		state := "stale or starting"
		if c.running() {
			state = "up"
		}
		memory := 0
		for _, program := range append(programs, ownerWatch) {
			if p, ok := readPidFile(c.pidFile(program)); ok && p.alive() {
				memory += p.memory()
			}
		}
		fmt.Printf("%s\t%s\t%d MiB\t%s\n", name, state, memory, c.kubeconfig())
	}
	return err
}

func (c *cluster) startOwnerWatch(owner process) error {
	return c.start(ownerWatch, "--name", c.name, "--pid", strconv.Itoa(owner.pid), "--start-time", owner.start)
}

// replaceOwner hands a running cluster over to a new owner, but only if it has one: a cluster that was started
// to stay is not to go with a test run that has used it.
func (c *cluster) replaceOwner(owner *process) error {
	old, ok := readPidFile(c.pidFile(ownerWatch))
	if owner == nil || !ok {
		return nil
	}
	if err := terminate([]process{old}, time.Second); err != nil {
		return err
	}
	return c.startOwnerWatch(*owner)
}

// watchOwner takes the cluster down when its owner is gone.
func watchOwner(args []string) error {
	var owner process
	flags := flag.NewFlagSet(ownerWatch, flag.ContinueOnError)
	name := flags.String("name", "", "name of the cluster")
	flags.IntVar(&owner.pid, "pid", 0, "the owner's process id")
	flags.StringVar(&owner.start, "start-time", "", "the owner's start time, as the kernel has it")
	if err := parse(flags, args); err != nil {
		return err
	}
	for owner.alive() {
		time.Sleep(500 * time.Millisecond)
	}
	return takeDown(*name)
}
