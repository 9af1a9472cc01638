package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// listen serves the site's socket, a line each:
//
//	dial ADDRESS:PORT   connects, as a client outside of the cluster; then the bytes go through
//	on NODE, off NODE   the power switch of a node
//
// The answer is a line as well: "ok", or what is wrong.
func (s *siteState) listen() error {
	return answer(s.socket(), func(c net.Conn, words []string) (net.Conn, error) {
		switch {
		case len(words) == 2 && words[0] == "dial":
			return net.Dial("tcp", words[1])
		case len(words) == 2 && words[0] == "off":
			return nil, s.powerOff(words[1])
		case len(words) == 2 && words[0] == "on":
			s.lock.Lock()
			m := s.machines[words[1]]
			s.lock.Unlock()
			if m == nil {
				return nil, fmt.Errorf("there is no %s", words[1])
			}
			return nil, s.powerOn(m.index)
		}
		return nil, fmt.Errorf("unknown request %q", strings.Join(words, " "))
	})
}

// answer serves a socket of one request per connection; what the handler returns is connected to the asker.
func answer(path string, handle func(net.Conn, []string) (net.Conn, error)) error {
	_ = os.Remove(path) // of a machine that was switched off
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				line, err := readLine(c)
				if err != nil {
					return
				}
				there, err := handle(c, strings.Fields(line))
				if err != nil {
					fmt.Fprintln(c, strings.ReplaceAll(err.Error(), "\n", "; "))
					return
				}
				if _, err := fmt.Fprintln(c, "ok"); err == nil && there != nil {
					splice(c, there)
				}
				if there != nil {
					there.Close()
				}
			}()
		}
	}()
	return nil
}

func request(socket string, line string) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return ask(c, line)
}

func switchNode(args []string) error {
	words, b, err := named("node", args)
	if err != nil {
		return err
	}
	verb := map[string]string{"stop": "off", "start": "on"}
	if len(words) != 2 || verb[words[0]] == "" {
		return errors.New("use: node stop|start NODE")
	}
	if err := b.checkNode(words[1]); err != nil {
		return err
	}
	return request(b.socket(), verb[words[0]]+" "+words[1])
}

func switchDaemon(args []string) error {
	words, b, err := named("daemon", args)
	if err != nil {
		return err
	}
	if len(words) != 3 {
		return errors.New("use: daemon stop|start|restart NODE containerd|kubelet|kube-proxy|policy")
	}
	if err := b.checkNode(words[1]); err != nil {
		return err
	}
	return request(b.path(words[1], "machine.sock"), words[0]+" "+words[2])
}

func named(command string, args []string) ([]string, *bench, error) {
	b, words, err := parse(newFlags(command), args)
	return words, b, err
}

// execIn replaces this process by a command in the namespaces of a node, or of the site.
func execIn(args []string) error {
	words, b, err := named("exec", args)
	if err != nil {
		return err
	}
	if len(words) < 2 {
		return errors.New("use: exec NODE COMMAND...")
	}
	command, err := b.inside(words[0], words[1:])
	if err != nil {
		return err
	}
	path, err := find(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, append(os.Environ(), "PATH="+searchPath))
}

func (b *bench) inside(node string, command []string) ([]string, error) {
	var pids []int
	if node == "outside" {
		pids = b.processes("site")
	} else {
		if err := b.checkNode(node); err != nil {
			return nil, err
		}
		pids = b.processes("machine", strings.TrimPrefix(node, "node-"))
	}
	if len(pids) != 1 {
		return nil, fmt.Errorf("bench %s: %s is off", b.name, node)
	}
	return append([]string{"nsenter", "--target", strconv.Itoa(pids[0]), "--mount", "--net", "--pid", "--uts", "--ipc", "--"}, command...), nil
}

// load imports archives into every node that is on.
func load(args []string) error {
	archives, b, err := named("load", args)
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return errors.New("use: load ARCHIVE...")
	}
	for _, node := range b.nodes() {
		for _, archive := range archives {
			file, err := os.Open(archive)
			if err != nil {
				return err
			}
			command, err := b.inside(node, importImages("-"))
			if err != nil {
				return err
			}
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Stdin = file // the node may not see the file
			output, err := cmd.CombinedOutput()
			file.Close()
			if err != nil {
				return fmt.Errorf("importing %s into %s: %w: %s", archive, node, err, output)
			}
		}
	}
	return nil
}

func importImages(archive string) []string {
	return []string{"ctr", "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", archive}
}
