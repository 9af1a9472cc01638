package main

import (
	"fmt"
	"maps"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// prepare makes of a set what Cyclonus 0.5.6 judges as Kubernetes does:
//   - it wants policyTypes: those that the API server fills in;
//   - it takes NotIn for false of a label that is absent, and a wanted label with an empty value for true of one
//     that is absent; both are the other way round. What asks for either is judged by Kubernetes' own library, and
//     given to Cyclonus as a label that is there or not.
func (s *set) prepare() error {
	var j judge
	for _, policy := range s.Policies {
		spec := &policy.Spec
		if len(spec.PolicyTypes) == 0 {
			spec.PolicyTypes = []networking.PolicyType{networking.PolicyTypeIngress}
			if len(spec.Egress) > 0 {
				spec.PolicyTypes = append(spec.PolicyTypes, networking.PolicyTypeEgress)
			}
		}
		var peers []networking.NetworkPolicyPeer
		for _, rule := range spec.Ingress {
			peers = append(peers, rule.From...)
		}
		for _, rule := range spec.Egress {
			peers = append(peers, rule.To...)
		}
		selectors := []*meta.LabelSelector{&spec.PodSelector}
		for _, peer := range peers {
			selectors = append(selectors, peer.PodSelector, peer.NamespaceSelector)
		}
		for _, selector := range selectors {
			if err := j.take(selector); err != nil {
				return err
			}
		}
	}
	for i := range s.Pods {
		s.Pods[i].Labels = j.marked(s.Pods[i].Labels)
	}
	for name := range s.Namespaces {
		s.Namespaces[name] = j.marked(s.Namespaces[name])
	}
	return nil
}

// judge holds the requirements that were taken out of selectors.
type judge struct {
	taken []labels.Selector
}

func mark(n int) string {
	return fmt.Sprintf("policy-oracle/%d", n)
}

// take replaces what Cyclonus reads differently by a mark.
func (j *judge) take(selector *meta.LabelSelector) error {
	if selector == nil {
		return nil
	}
	var kept []meta.LabelSelectorRequirement
	replace := func(by meta.LabelSelector) error {
		judged, err := meta.LabelSelectorAsSelector(&by)
		if err != nil {
			return err
		}
		kept = append(kept, meta.LabelSelectorRequirement{Key: mark(len(j.taken)), Operator: meta.LabelSelectorOpExists})
		j.taken = append(j.taken, judged)
		return nil
	}
	for _, one := range selector.MatchExpressions {
		if one.Operator != meta.LabelSelectorOpNotIn {
			kept = append(kept, one)
		} else if err := replace(meta.LabelSelector{MatchExpressions: []meta.LabelSelectorRequirement{one}}); err != nil {
			return err
		}
	}
	for key, value := range maps.Clone(selector.MatchLabels) {
		if value == "" {
			delete(selector.MatchLabels, key)
			if err := replace(meta.LabelSelector{MatchLabels: map[string]string{key: value}}); err != nil {
				return err
			}
		}
	}
	selector.MatchExpressions = kept
	return nil
}

// marked adds the marks to labels.
func (j *judge) marked(there map[string]string) map[string]string {
	marked := map[string]string{}
	maps.Copy(marked, there)
	for n, judged := range j.taken {
		if judged.Matches(labels.Set(there)) {
			marked[mark(n)] = ""
		}
	}
	return marked
}
