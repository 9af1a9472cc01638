// policy-oracle says what Cyclonus, of the network policy working group, makes of NetworkPolicies: JSON in, verdicts out.
//
// Each document on standard input is a set of namespaces, pods, policies and questions; each line on standard output the
// answers to one set: for each question whether the policies of the end that is dialled let the connection, and whether
// those of the end that dials do.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

type set struct {
	// Labels of each namespace.
	Namespaces map[string]map[string]string
	Pods       []pod
	Policies   []*networking.NetworkPolicy
	Questions  []question
}

type pod struct {
	Namespace string
	Labels    map[string]string
	IP        string
	Ports     []port
}

type port struct {
	Name     string
	Number   int
	Protocol core.Protocol
}

type question struct {
	From, To end
	Port     int
	Protocol core.Protocol
}

// end is a pod, by its place in the list, or an address outside.
type end struct {
	Pod *int
	IP  string
}

type answer struct {
	Ingress bool `json:"ingress"`
	Egress  bool `json:"egress"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "policy-oracle:", err)
		os.Exit(1)
	}
}

func run() error {
	in := json.NewDecoder(os.Stdin)
	in.DisallowUnknownFields()
	out := json.NewEncoder(os.Stdout)
	for {
		var s set
		if err := in.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.prepare(); err != nil {
			return err
		}
		policies := matcher.BuildNetworkPolicies(false, s.Policies)
		answers := make([]answer, 0, len(s.Questions))
		for _, q := range s.Questions {
			answers = append(answers, s.ask(policies, q))
		}
		if err := out.Encode(answers); err != nil {
			return err
		}
	}
}

// ask asks once for each name that the dialled pod gives the port: Cyclonus takes one, and a pod may give several.
func (s *set) ask(policies *matcher.Policy, q question) answer {
	names := []string{""}
	if q.To.Pod != nil {
		for _, p := range s.Pods[*q.To.Pod].Ports {
			if p.Number == q.Port && p.Protocol == q.Protocol {
				names = append(names, p.Name)
			}
		}
	}
	var a answer
	for _, name := range names {
		said := policies.IsTrafficAllowed(&matcher.Traffic{
			Source:           s.peer(q.From),
			Destination:      s.peer(q.To),
			ResolvedPort:     q.Port,
			ResolvedPortName: name,
			Protocol:         q.Protocol,
		})
		a.Ingress = a.Ingress || said.Ingress.IsAllowed()
		a.Egress = a.Egress || said.Egress.IsAllowed()
	}
	return a
}

func (s *set) peer(e end) *matcher.TrafficPeer {
	if e.Pod == nil {
		return &matcher.TrafficPeer{IP: e.IP}
	}
	p := s.Pods[*e.Pod]
	return &matcher.TrafficPeer{IP: p.IP, Internal: &matcher.InternalPeer{
		PodLabels:       p.Labels,
		NamespaceLabels: s.Namespaces[p.Namespace],
		Namespace:       p.Namespace,
	}}
}
