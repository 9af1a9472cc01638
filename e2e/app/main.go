// Command app stands in for every image of the stacks under test. What it does is chosen by the name it is called by:
// an image has links to it by the names of the programs that services, health checks and shells call.
//
// Called by any name that it does not know, it serves: HTTP, gRPC health and its own questions on each port of
// APP_LISTEN (set by the image) and on the control port, which no service declares.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const usage = `usage: app COMMAND

  serve                          what it does when it is called by another name; see serve.go for the environment
  entry [COMMAND...]             the entrypoint of an image: runs a command that is one, else serves
  dial [-every D -for D]         dials the targets given as JSON on standard input; see dial.go
  ctl QUESTION                   asks the server of this pod: health=ok|fail|hang|flap:D, die=CODE, state
  job SECONDS CODE               ends with this code after so many seconds
  burn SECONDS [CORES]           uses the processor
  append FILE [-every D] [-count N]   writes numbered records, each on disk before it is told; see records.go
  verify FILE                    what append has left
  pause                          holds the namespaces of a pod
`

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name == "app" {
		if len(args) == 0 {
			fmt.Fprint(os.Stderr, usage)
			os.Exit(2)
		}
		name, args = args[0], args[1:]
	}
	commands := map[string]func([]string) error{
		"serve": serve, "entry": entry, "dial": dial, "ctl": ctl, "job": job, "burn": burn,
		"append": appendRecords, "verify": verifyRecords, "pause": pause,
		"wget": fetch, "curl": fetch, "python": fetch, "python3": fetch, "node": fetch,
		"bash": bash, "redis-cli": redisCli, "pg_isready": pgIsReady,
		"docker-entrypoint.sh": entry,
	}
	run, ok := commands[name]
	if !ok {
		run = serve
	}
	if err := run(args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// entry does what the entrypoints of most images do with their arguments.
func entry(args []string) error {
	if len(args) > 0 {
		if path, err := exec.LookPath(args[0]); err == nil {
			return syscall.Exec(path, args, os.Environ())
		}
	}
	return serve(args) // options of the program that the image is made for
}
