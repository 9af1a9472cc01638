package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// process names one process for good: process ids are reused, a pair of id and start time is not.
type process struct {
	pid   int
	start string
}

// findProcess returns the process that has this id now. One that has ended and only waits to be reaped
// counts as gone: in a container without an init nobody ever reaps it.
func findProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The second field is the program's name in parentheses and may itself contain both spaces and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, startTime = 0, 19 // proc(5) has them as fields 3 and 22
	if len(fields) <= startTime || strings.Contains("ZX", fields[state]) {
		return process{}, false
	}
	return process{pid, fields[startTime]}, true
}

func (p process) alive() bool {
	now, ok := findProcess(p.pid)
	return ok && now == p
}

func (p process) signal(s syscall.Signal) {
	if p.alive() {
		_ = syscall.Kill(p.pid, s) // it may end in between
	}
}

// memory is the resident set in MiB.
func (p process) memory() int {
	var total, resident int
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err == nil {
		_, _ = fmt.Sscan(string(statm), &total, &resident)
	}
	return resident * os.Getpagesize() >> 20
}

func (p process) String() string { return fmt.Sprintf("%d %s\n", p.pid, p.start) }

func readPidFile(path string) (process, bool) {
	var p process
	text, err := os.ReadFile(path)
	if err != nil {
		return p, false
	}
	n, _ := fmt.Sscan(string(text), &p.pid, &p.start)
	return p, n == 2
}

// terminate asks the processes to end and returns when they have; after the patience it kills them.
func terminate(processes []process, patience time.Duration) error {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, p := range processes {
			p.signal(s)
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			alive := processes[:0:0]
			for _, p := range processes {
				if p.alive() {
					alive = append(alive, p)
				}
			}
			if processes = alive; len(processes) == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL", processes[0].pid)
}
