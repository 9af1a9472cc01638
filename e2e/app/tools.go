package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var urls = regexp.MustCompile(`https?://[^\s'",)]+`)

// fetch is wget, curl, or a line of Python or JavaScript in a health check: what counts is the address and whether
// the answer is a success. Without an address, an interpreter runs the program of the image.
func fetch(args []string) error {
	found := urls.FindAllString(strings.Join(args, " "), -1)
	if len(found) == 0 {
		return serve(args)
	}
	answer, err := get(found[len(found)-1])
	if err != nil {
		return err
	}
	if !slices.Contains(args, "--spider") && !slices.Contains(args, "/dev/null") {
		fmt.Print(answer)
	}
	return nil
}

func get(url string) (string, error) {
	answer, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 400 {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return string(text), err
}

var socket = regexp.MustCompile(`/dev/tcp/([^/\s]+)/(\d+)`)

// bash asks for health where a script opens a connection by hand, which no other shell can; the rest it leaves to sh.
func bash(args []string) error {
	if m := socket.FindStringSubmatch(strings.Join(args, " ")); m != nil {
		_, err := get("http://" + m[1] + ":" + m[2] + "/")
		return err
	}
	return syscall.Exec("/bin/sh", append([]string{"sh"}, args...), os.Environ())
}

func redisCli(args []string) error {
	_, err := get("http://127.0.0.1:" + option(args, "-p", "6379") + "/redis")
	if err == nil {
		fmt.Println("PONG")
	}
	return err
}

func pgIsReady(args []string) error {
	_, err := get("http://" + option(args, "-h", "127.0.0.1") + ":" + option(args, "-p", "5432") + "/postgres")
	return err
}

func option(args []string, name, otherwise string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return otherwise
}

func job(args []string) error {
	if len(args) != 2 {
		return errors.New("use: job SECONDS CODE")
	}
	seconds, err1 := strconv.ParseFloat(args[0], 64)
	code, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	fmt.Println("done, with", code)
	os.Exit(code)
	return nil
}

func burn(args []string) error {
	seconds, cores := 10.0, 1
	if len(args) > 0 {
		seconds, _ = strconv.ParseFloat(args[0], 64)
	}
	if len(args) > 1 {
		cores, _ = strconv.Atoi(args[1])
	}
	for range cores - 1 {
		go spin(time.Duration(seconds * float64(time.Second)))
	}
	spin(time.Duration(seconds * float64(time.Second)))
	return nil
}

func spin(d time.Duration) {
	x := uint64(1)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 1_000_000 {
			x = x*6364136223846793005 + 1
		}
	}
	runtime.KeepAlive(x)
}

// pause is pid 1 of a pod's namespaces.
func pause([]string) error {
	ended := make(chan os.Signal, 8)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range ended {
		if s != syscall.SIGCHLD {
			return nil
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}
