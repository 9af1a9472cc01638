package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// children are the processes of a pid 1, which also has to reap those that others have left to it. os/exec is of no
// use to a pid 1: it waits for its processes by itself.
type children struct {
	lock    sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newChildren() *children {
	c := &children{waiting: map[int]chan syscall.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			c.reap()
		}
	}()
	return c
}

func (c *children) reap() {
	c.lock.Lock()
	defer c.lock.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if done, ok := c.waiting[pid]; ok {
			delete(c.waiting, pid)
			done <- status
		}
	}
}

// child is a program to be started.
type child struct {
	args   []string // the first is the name it is called by
	path   string   // of the program, if the name does not lead to it
	env    []string // added to ours
	input  *os.File // none: nothing to read
	output *os.File
	flags  uintptr // namespaces of its own
}

// start returns the process id and a channel that gets the status once, at the end.
func (c *children) start(p child) (int, <-chan syscall.WaitStatus, error) {
	path := p.path
	if path == "" {
		var err error
		if path, err = find(p.args[0]); err != nil {
			return 0, nil, err
		}
	}
	input := p.input
	if input == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return 0, nil, err
		}
		defer null.Close()
		input = null
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	pid, err := syscall.ForkExec(path, p.args, &syscall.ProcAttr{
		Dir: "/", Env: append(os.Environ(), p.env...),
		Files: []uintptr{input.Fd(), p.output.Fd(), p.output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Cloneflags: p.flags},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	done := make(chan syscall.WaitStatus, 1)
	c.waiting[pid] = done
	return pid, done, nil
}

// run returns what a program has printed, when it has ended.
func (c *children) run(env []string, args ...string) (string, error) {
	return c.runWith(child{args: args, env: env})
}

func (c *children) runWith(p child) (string, error) {
	output, err := os.CreateTemp("", "")
	if err != nil {
		return "", err
	}
	defer output.Close()
	if err := os.Remove(output.Name()); err != nil {
		return "", err
	}
	p.output = output
	_, done, err := c.start(p)
	if err != nil {
		return "", err
	}
	status := <-done
	size, _ := output.Seek(0, 1)
	text := make([]byte, size)
	if _, err := output.ReadAt(text, 0); err != nil && size > 0 {
		return "", err
	}
	if status != 0 {
		return string(text), fmt.Errorf("%s: %s: %s", strings.Join(p.args, " "), describe(status), strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
