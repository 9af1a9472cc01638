package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The knobs by which tests steer a pod mean here what they mean to the simulated nodes: see e2e/cluster/sim/stages.yaml.
// A knob is an annotation of the pod, where e2e/src/steered.yaml has mounted those, or else a variable of the container.
//
// As near as a container comes to it: start-delay adds to ready-delay, since its process runs once it is started; and
// the kubelet alone decides how long it backs off. The policies of steered.yaml play image-pull-error.
const (
	annotationsFile = "/steered/annotations"
	initMark        = "/steered-init" // mounted in the pod's first steps, which succeed in no time
	memory          = "/steered-memory"
	knobPrefix      = "sim.appstack.dev/"
)

// steering is what a container knows of its knobs.
type steering struct {
	begin   time.Time
	crashes int // of this container before this process
}

func newSteering() *steering {
	text, _ := os.ReadFile(filepath.Join(memory, "crashes"))
	return &steering{begin: time.Now(), crashes: len(text)}
}

func steered() bool {
	_, err := os.Stat(annotationsFile)
	return err == nil
}

// first reports whether this is a step before the pod's own containers.
func first() bool {
	_, err := os.Stat(initMark)
	return err == nil
}

func annotation(name string) (string, bool) {
	text, _ := os.ReadFile(annotationsFile)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), knobPrefix+name+"="); ok {
			value, _ = strconv.Unquote(value)
			return value, true
		}
	}
	return "", false
}

func knob(name string) string {
	if value, ok := annotation(name); ok {
		return value
	}
	return os.Getenv("SIM_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

// knobTime is a duration; a plain number means seconds.
func knobTime(name string, otherwise time.Duration) time.Duration {
	text := knob(name)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return otherwise
}

func (s *steering) readyAfter() time.Duration {
	return knobTime("start-delay", 0) + knobTime("ready-delay", 100*time.Millisecond)
}

func (s *steering) crashing() bool {
	times, err := strconv.Atoi(knob("crash-times"))
	return knob("mode") == "crashloop" && (err != nil || s.crashes < times)
}

func (s *steering) well() bool {
	return !slices.Contains([]string{"never-ready", "unready", "evicted"}, knob("mode")) && !s.crashing()
}

// ready is the answer to a probe. One that comes a little early is kept waiting, so that it need not come again.
func (s *steering) ready() bool {
	if left := s.readyAfter() - time.Since(s.begin); left > 0 && left < 900*time.Millisecond {
		time.Sleep(left)
	}
	return s.well() && time.Since(s.begin) >= s.readyAfter()
}

// ends reports whether the container is one that comes to an end: of a Job, or told to.
func (s *steering) ends() bool {
	if policy, ok := annotation("restart-policy"); ok {
		return policy != "Always"
	}
	return knob("run-for") != ""
}

// code is how it ends, once that is known: with fail-times the test decides, by what the Job has counted.
func (s *steering) code() (int, bool) {
	text, decided := annotation("exit-code")
	if knob("fail-times") != "" && !decided {
		return 0, false
	}
	n, _ := strconv.Atoi(cmp.Or(text, knob("exit-code")))
	return n, true
}

// follow plays the life that the knobs ask for; it ends the process where that ends.
func (s *steering) follow() {
	for ; ; time.Sleep(50 * time.Millisecond) {
		up := time.Since(s.begin)
		switch {
		case s.crashing() && up >= knobTime("crash-after", 300*time.Millisecond):
			s.remember()
			n, _ := strconv.Atoi(knob("exit-code"))
			os.Exit(max(n, 1))
		case knob("mode") == "evicted":
			// More than the volume may hold: the kubelet throws the pod off its node.
			_ = os.WriteFile(filepath.Join(memory, "ballast"), make([]byte, 4<<20), 0o600)
			return
		case s.ends() && s.well() && up >= s.readyAfter()+knobTime("run-for", 500*time.Millisecond):
			if code, known := s.code(); known {
				os.Exit(code)
			}
		}
	}
}

func (s *steering) remember() {
	f, err := os.OpenFile(filepath.Join(memory, "crashes"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = f.WriteString(".")
		_ = f.Close()
	}
}
