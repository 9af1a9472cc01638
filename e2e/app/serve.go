package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// controlPort is open in every pod and declared by no service.
const controlPort = "7070"

// server is the state of one process. Environment:
//
//	APP_LISTEN         ports, separated by commas (default 8080)
//	APP_HEALTH         as `ctl health=`: ok, fail, hang, or flap:PERIOD (healthy for one, unhealthy for the next)
//	APP_HEALTHY_AFTER  a duration from the start in which it is unhealthy
//	APP_START_AFTER    a duration in which no port is open
//	APP_DIE_AFTER      a duration after which it ends with APP_EXIT (default 1)
//	APP_STOP_AFTER     how long it takes to end after a signal, still answering
//	APP_APPEND         a file to which POST /append adds a numbered record
//
// and the knobs of steered.go.
type server struct {
	begin time.Time
	steer *steering
	after time.Duration

	lock   sync.Mutex
	health string
	since  time.Time
	probes map[string]int // questions for health, by who asks and how it was answered
}

func serve([]string) error {
	if first() {
		return nil
	}
	s := &server{
		begin: time.Now(), steer: newSteering(), since: time.Now(), after: duration("APP_HEALTHY_AFTER"),
		health: cmp.Or(os.Getenv("APP_HEALTH"), "ok"), probes: map[string]int{},
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1)
	if die := duration("APP_DIE_AFTER"); die > 0 {
		time.AfterFunc(die, func() { os.Exit(number("APP_EXIT", 1)) })
	}
	time.Sleep(duration("APP_START_AFTER"))
	if err := s.listen(); err != nil {
		return err
	}
	go s.steer.follow()
	fmt.Println("serving", os.Args)
	got := <-signals
	fmt.Println("stopping on", got)
	time.Sleep(max(duration("APP_STOP_AFTER"), knobTime("delete-delay", 0)))
	return nil
}

func (s *server) listen() error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC
	h := &http.Server{Handler: s, Protocols: &protocols}
	ports := strings.Split(cmp.Or(os.Getenv("APP_LISTEN"), "8080"), ",")
	certain := len(ports)
	if declared, _ := annotation("listen"); declared != "" {
		ports = append(ports, strings.Split(declared, ",")...)
	}
	for i, port := range append(ports, controlPort) {
		if slices.Contains(ports[:min(i, len(ports))], port) {
			continue
		}
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			if i >= certain || steered() {
				fmt.Println(err) // another container of the pod has it
				continue
			}
			return err
		}
		go func() {
			fmt.Println(h.Serve(l))
			os.Exit(1)
		}()
	}
	return nil
}

func duration(variable string) time.Duration {
	d, _ := time.ParseDuration(os.Getenv(variable))
	return d
}

func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// healthy also counts the question.
func (s *server) healthy(asker string) bool {
	s.lock.Lock()
	state, since := s.health, s.since
	s.lock.Unlock()
	ok := state == "ok"
	if period, flaps := strings.CutPrefix(state, "flap:"); flaps {
		d, err := time.ParseDuration(period)
		ok = err == nil && d > 0 && time.Since(since)/d%2 == 0
	}
	ok = ok && time.Since(s.begin) >= s.after && (!steered() && knob("mode")+knob("ready-delay") == "" || s.steer.ready())
	s.lock.Lock()
	s.probes[fmt.Sprintf("%s %v", asker, ok)]++
	s.lock.Unlock()
	if state == "hang" {
		time.Sleep(time.Hour)
	}
	return ok
}

// ServeHTTP answers every path: whatever a stack asks for its health is health. The paths of our own begin with /app/.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		s.grpcHealth(w, r)
		return
	}
	switch r.URL.Path {
	case "/app/who":
		host, _ := os.Hostname()
		_, port, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		reply(w, answerOf{Pod: host, Port: port, From: from})
	case "/app/ctl":
		s.control(w, r)
	case "/app/append":
		n, err := appendOne(os.Getenv("APP_APPEND"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, n)
	case "/app/burn":
		d, _ := time.ParseDuration(r.FormValue("for"))
		spin(d)
	default:
		// "UP" is what a Spring health check looks for.
		if !s.healthy(cmp.Or(r.Header.Get("User-Agent"), "http")) {
			http.Error(w, `{"status":"DOWN"}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, `{"status":"UP"}`)
	}
}

// answerOf is what /app/who says of who was reached, and by whom as it sees it.
type answerOf struct {
	Pod  string `json:"pod"`
	Port string `json:"port"`
	From string `json:"from"`
}

func reply(w io.Writer, value any) { _ = json.NewEncoder(w).Encode(value) }

func (s *server) control(w http.ResponseWriter, r *http.Request) {
	if state := r.FormValue("health"); state != "" {
		s.lock.Lock()
		s.health, s.since = state, time.Now()
		s.lock.Unlock()
	}
	if code := r.FormValue("die"); code != "" {
		n, _ := strconv.Atoi(code)
		os.Exit(n)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	reply(w, map[string]any{"health": s.health, "seconds": time.Since(s.begin).Seconds(), "probes": s.probes})
}

// grpcHealth answers grpc.health.v1.Health/Check, whose messages are small enough to be written by hand.
func (s *server) grpcHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	const ok, unimplemented = "0", "12"
	if r.URL.Path != "/grpc.health.v1.Health/Check" {
		w.Header().Set("Grpc-Status", unimplemented)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	const serving, notServing = 1, 2
	status := byte(notServing)
	if s.healthy("grpc") {
		status = serving
	}
	// A message that is not compressed, two bytes long: field 1, a number.
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, status})
	w.Header().Set("Grpc-Status", ok)
}

// ctl asks the server of this pod, and prints its state.
func ctl(args []string) error {
	query := ""
	if len(args) == 1 && args[0] != "state" {
		query = "?" + args[0]
	}
	answer, err := http.Get("http://127.0.0.1:" + controlPort + "/app/ctl" + query)
	if err != nil {
		if strings.HasPrefix(query, "?die=") {
			return nil
		}
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}
