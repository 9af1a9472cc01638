package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Ten seconds are normal; this is for a machine that is busy with something else.
const startPatience = 3 * time.Minute

// plan is what a bench is to be. The same flags are handed down from up to serve and site.
type plan struct {
	nodes, owner, port int
	ownerStart         string
	cluster, images    string // the program of e2e/cluster, the archive that every node gets
}

func (p *plan) flags() []string {
	return []string{
		"--nodes", strconv.Itoa(p.nodes), "--port", strconv.Itoa(p.port), "--cluster", p.cluster, "--images", p.images,
		"--owner-pid", strconv.Itoa(p.owner), "--owner-start", p.ownerStart,
	}
}

func parsePlan(command string, args []string) (*bench, *plan, error) {
	p := &plan{}
	flags := newFlags(command)
	flags.IntVar(&p.nodes, "nodes", 2, "number of nodes")
	flags.IntVar(&p.owner, "owner-pid", 0, "end the bench when this process is gone")
	flags.StringVar(&p.ownerStart, "owner-start", "", "when that process was started, as the kernel has it")
	flags.IntVar(&p.port, "port", 0, "port of the API server")
	flags.StringVar(&p.cluster, "cluster", "", "the program of e2e/cluster")
	flags.StringVar(&p.images, "images", "", "OCI archive with the images of every bench")
	b, _, err := parse(flags, args)
	return b, p, err
}

func up(args []string) error {
	b, p, err := parsePlan("up", args)
	if err != nil {
		return err
	}
	if p.nodes < 1 || p.nodes > 9 {
		return fmt.Errorf("--nodes %d: use 1 to 9", p.nodes)
	}
	if err := check(nil); err != nil {
		return err
	}
	for flag, file := range map[string]*string{"cluster": &p.cluster, "images": &p.images} {
		// A link into a cache may point elsewhere tomorrow, and the nodes do not see all of our directories.
		found, err := filepath.EvalSymlinks(*file)
		if err != nil {
			return fmt.Errorf("--%s: %w (make node-build)", flag, err)
		}
		*file, _ = filepath.Abs(found)
	}
	if p.owner != 0 {
		if p.ownerStart = startTime(p.owner); p.ownerStart == "" {
			return fmt.Errorf("--owner-pid %d: there is no such process", p.owner)
		}
	}
	dir, err := b.lock(true)
	if err != nil {
		return err
	}
	defer dir.Close()
	if b.running() {
		b.say("is up already")
	} else if err := b.bringUp(p); err != nil {
		return err
	}
	fmt.Printf("KUBECONFIG=%s\nAUDIT_LOG=%s\nSTATE=%s\n", b.kubeconfig(), b.auditLog(), b.dir)
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench %s: %s\n", b.name, fmt.Sprintf(format, args...))
}

// bringUp starts serve and waits for what comes of it; when that is nothing, nothing is left but the logs.
func (b *bench) bringUp(p *plan) error {
	if err := b.sweep(); err != nil { // what a killed one has left
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	log, err := os.Create(b.path("serve.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = b.arguments("serve", p.flags()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = b.follow(ended, interrupted)
	if err == nil {
		return nil
	}
	kept := filepath.Join(os.TempDir(), "appstack-node-"+b.name+".log")
	if b.keepLogs(kept) == nil {
		err = fmt.Errorf("%w\nall logs: %s", err, kept)
	}
	return errors.Join(fmt.Errorf("starting bench %s: %w", b.name, err), b.sweep(), os.RemoveAll(b.dir))
}

func (b *bench) follow(ended <-chan error, interrupted <-chan os.Signal) error {
	told := 0
	for deadline := time.Now().Add(startPatience); ; {
		if text, err := os.ReadFile(b.progressFile()); err == nil {
			for line := range strings.SplitAfterSeq(string(text[told:]), "\n") {
				if strings.HasSuffix(line, "\n") {
					b.say("%s", strings.TrimSuffix(line, "\n"))
					told += len(line)
				}
			}
		}
		if _, err := os.Stat(b.readyFile()); err == nil {
			return nil
		}
		select {
		case <-ended:
			if text, err := os.ReadFile(b.failedFile()); err == nil {
				return errors.New(string(text))
			}
			return fmt.Errorf("its processes have ended; %s", tail(b.path("serve.log")))
		case <-interrupted:
			return errors.New("interrupted")
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(deadline) {
				return fmt.Errorf("not usable after %v", startPatience)
			}
		}
	}
}

// keepLogs copies the logs of all programs into one file, outside of what is about to be removed.
func (b *bench) keepLogs(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	logs, _ := filepath.Glob(b.path("*.log"))
	for _, pattern := range []string{"node-*/log/*.log", "control-plane/*/logs/*.log"} {
		more, _ := filepath.Glob(b.path(pattern))
		logs = append(logs, more...)
	}
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		fmt.Fprintf(out, "==== %s\n%s\n", strings.TrimPrefix(log, b.dir+"/"), text[max(0, len(text)-100_000):])
	}
	return nil
}

// serve is all that a bench has in the machine's own namespaces: it holds the site and lets loopback reach the API.
func serve(args []string) error {
	// The site gets its signal when the thread that has started it ends: this one, which stays.
	runtime.LockOSThread()
	b, p, err := parsePlan("serve", args)
	if err != nil {
		return err
	}
	listener, port, err := listenAnywhere()
	if err != nil {
		return err
	}
	p.port = port
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = b.arguments("site", p.flags()...)
	// Nothing of the caller's environment configures what runs in the bench.
	cmd.Env = []string{"PATH=" + searchPath, "HOME=/"}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	go b.forward(listener, fmt.Sprintf("127.0.0.1:%d", port))
	if p.owner != 0 {
		go func() {
			for startTime(p.owner) == p.ownerStart && alive(p.owner) {
				time.Sleep(500 * time.Millisecond)
			}
			end := exec.Command("/proc/self/exe")
			end.Args = []string{program, "down", "--name", b.name}
			end.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it ends us
			if err := end.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
	return cmd.Wait()
}

// listenAnywhere takes a port below those that the kernel gives to outgoing connections.
func listenAnywhere() (net.Listener, int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l, port, nil
		}
	}
	return nil, 0, errors.New("no free port found between 20000 and 32000 on 127.0.0.1")
}

func (b *bench) forward(listener net.Listener, target string) {
	for {
		here, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer here.Close()
			if there, err := b.dial(target); err == nil {
				defer there.Close()
				splice(here, there)
			}
		}()
	}
}

// dial connects to an address as the world outside sees it.
func (b *bench) dial(target string) (net.Conn, error) {
	c, err := net.Dial("unix", b.socket())
	if err != nil {
		return nil, err
	}
	if err := ask(c, "dial "+target); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ask sends a line and reads the line of the answer, byte by byte: what follows is not ours.
func ask(c net.Conn, line string) error {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return err
	}
	answer, err := readLine(c)
	if err == nil && answer != "ok" {
		err = errors.New(answer)
	}
	return err
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < 4096; line = append(line, one[0]) {
		if _, err := io.ReadFull(r, one); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return string(line), nil
		}
	}
	return "", errors.New("a line that does not end")
}

type closeWriter interface{ CloseWrite() error }

func splice(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.(closeWriter).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(b, a)
	_ = b.(closeWriter).CloseWrite()
	<-done
}
