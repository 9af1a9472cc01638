package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// target is who is to be dialled, and with the answer what came of it.
type target struct {
	Host string `json:"host"`
	Port int    `json:"port"`

	// "answered" (by the app, which says who it is), "connected" (by something else), "refused", "timeout",
	// "no such name", or another error.
	Outcome string        `json:"outcome,omitempty"`
	Who     string        `json:"who,omitempty"`  // the pod that has answered
	From    string        `json:"from,omitempty"` // our address as it sees it
	Took    time.Duration `json:"-"`
	Millis  int64         `json:"ms"`
	At      int64         `json:"at"` // Unix time in milliseconds
}

// dial reads a JSON list of targets and prints the list with the outcomes. All are dialled at once, each with a second
// of patience (-timeout). With -every it goes on for -for, and prints an outcome a line as they come.
func dial(args []string) error {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	timeout := flags.Duration("timeout", time.Second, "")
	every := flags.Duration("every", 0, "")
	span := flags.Duration("for", 10*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var targets []target
	if err := json.NewDecoder(os.Stdin).Decode(&targets); err != nil {
		return fmt.Errorf("the targets: %w", err)
	}
	if *every == 0 {
		each(targets, func(t *target) { t.dial(*timeout) })
		return json.NewEncoder(os.Stdout).Encode(targets)
	}
	var lock sync.Mutex
	out := json.NewEncoder(os.Stdout)
	end := time.Now().Add(*span)
	each(targets, func(t *target) {
		for tick := time.NewTicker(*every); time.Now().Before(end); <-tick.C {
			one := *t
			one.dial(*timeout)
			lock.Lock()
			_ = out.Encode(one)
			lock.Unlock()
		}
	})
	return nil
}

func each(targets []target, do func(*target)) {
	var all sync.WaitGroup
	for i := range targets {
		all.Go(func() { do(&targets[i]) })
	}
	all.Wait()
}

func (t *target) dial(timeout time.Duration) {
	begin := time.Now()
	t.At = begin.UnixMilli()
	t.Outcome = t.ask(begin.Add(timeout))
	t.Millis = time.Since(begin).Milliseconds()
}

func (t *target) ask(deadline time.Time) string {
	address := net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", address)
	if err != nil {
		return describe(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		Dial:              func(string, string) (net.Conn, error) { return c, nil },
	}}
	answer, err := client.Get("http://" + address + "/app/who")
	if err != nil {
		return "connected"
	}
	defer answer.Body.Close()
	var who answerOf
	if json.NewDecoder(answer.Body).Decode(&who) != nil {
		return "connected"
	}
	t.Who, t.From = who.Pod, who.From
	return "answered"
}

func describe(err error) string {
	var name *net.DNSError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "no such name"
	case errors.As(err, &name):
		return "no answer to the name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return "timeout"
	}
	return err.Error()
}
