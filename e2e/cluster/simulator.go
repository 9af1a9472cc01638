package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	nodestart "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodelease "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
)

//go:embed sim/stages.yaml
var stagesTemplate string

const (
	provisioner  = "sim.appstack.dev/volumes"
	defaultClass = "standard"
)

// renderStages returns the configuration of kwok: our pods and claims, and kwok's own nodes.
func renderStages() (string, error) {
	t := template.New("stages").Delims("[[", "]]")
	quote := func(text string) string { // a JSON string is a YAML string
		quoted, _ := json.Marshal(text)
		return string(quoted)
	}
	named := func(name string) (string, error) {
		var b strings.Builder
		err := t.ExecuteTemplate(&b, name, nil)
		return strings.TrimSpace(b.String()), err
	}
	jq := func(expression string) (string, error) {
		definitions, err := named("jq")
		return quote(definitions + "\n" + expression), err
	}
	t.Funcs(template.FuncMap{
		// text is a shared piece of a status, indented to where the templates of the stages are.
		"text": func(name string) (string, error) {
			text, err := named(name)
			return strings.ReplaceAll(text, "\n", "\n        "), err
		},
		"stage": func(kind, name, when string) (string, error) {
			key, err := jq(when)
			return fmt.Sprintf(`---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: %s}
spec:
  resourceRef: {apiGroup: v1, kind: %s}
  selector: {matchExpressions: [{jq: {key: %s, operator: In, values: ["true"]}}]}`, name, kind, key), err
		},
		"delay": func(milliseconds int, knob string) (string, error) {
			expression, err := jq(fmt.Sprintf("delay(%q)", knob))
			return fmt.Sprintf(`{durationMilliseconds: %d, durationFrom: {jq: {expression: %s}}}`, milliseconds, expression), err
		},
		"stuckModes": func() map[string]string {
			return map[string]string{"image-pull-error": "ImagePullBackOff", "config-error": "CreateContainerConfigError"}
		},
	})
	if _, err := t.Parse(stagesTemplate); err != nil {
		return "", err
	}
	var b strings.Builder
	err := t.Execute(&b, nil)
	return strings.Join([]string{b.String(), nodestart.DefaultNodeInit, nodelease.DefaultNodeHeartbeatWithLease}, "\n---\n"), err
}

// populate makes the nodes and the storage classes.
func populate(ctx context.Context, client kubernetes.Interface, nodes int) error {
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		// Roomy, so that tests in parallel do not compete.
		capacity := corev1.ResourceList{
			corev1.ResourceCPU:              resource.MustParse("64"),
			corev1.ResourceMemory:           resource.MustParse("256Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
			corev1.ResourcePods:             resource.MustParse("1000"),
			"nvidia.com/gpu":                resource.MustParse("4"),
		}
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name,
				Labels: map[string]string{
					corev1.LabelHostname:             name,
					corev1.LabelOSStable:             "linux",
					corev1.LabelArchStable:           "amd64",
					corev1.LabelTopologyZone:         fmt.Sprintf("zone-%d", i%3),
					"node-role.kubernetes.io/worker": "",
				},
			},
			Status: corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
		}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	waits, immediate, expandable := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate, true
	for _, class := range []*storagev1.StorageClass{{
		ObjectMeta: metav1.ObjectMeta{
			Name:        defaultClass,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: provisioner, VolumeBindingMode: &waits, AllowVolumeExpansion: &expandable,
	}, {
		ObjectMeta:  metav1.ObjectMeta{Name: "immediate"},
		Provisioner: provisioner, VolumeBindingMode: &immediate,
	}} {
		if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// nodesUsable reports whether so many nodes are Ready and none repels pods, as each new node does for a moment.
func nodesUsable(ctx context.Context, client kubernetes.Interface, want int) bool {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	usable := 0
	for _, node := range nodes.Items {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0 {
				usable++
			}
		}
	}
	return usable >= want
}
