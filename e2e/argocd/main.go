// argocd says what Argo CD makes of objects, by its own code: their health, the actions that it offers, what an action changes, and whether
// they are as Git has them. It reads one question a line from standard input, and answers each with a line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/diff"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Ask       string              `json:"ask"`
	Object    map[string]any      `json:"object"`    // as it is in the cluster
	Overrides map[string]override `json:"overrides"` // what the ConfigMap argocd-cm has for each kind
	Action    string              `json:"action"`
	Git       map[string]any      `json:"git"`       // as it is in Git
	Predicted map[string]any      `json:"predicted"` // what a dry run of an apply says
}

type override struct {
	Health  string `json:"health"`
	Actions string `json:"actions"`
}

func main() {
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q question
		err := questions.Decode(&q)
		if err == io.EOF {
			return
		}
		var answer any
		if err == nil {
			answer, err = q.answer()
		}
		if err == nil {
			err = answers.Encode(answer)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "argocd:", err)
			os.Exit(1)
		}
	}
}

func (q question) answer() (any, error) {
	object, vm := &unstructured.Unstructured{Object: q.Object}, lua.VM{ResourceOverrides: map[string]v1alpha1.ResourceOverride{}}
	for key, override := range q.Overrides {
		vm.ResourceOverrides[key] = v1alpha1.ResourceOverride{HealthLua: override.Health, Actions: override.Actions}
	}
	switch q.Ask {
	case "health":
		return lua.ResourceHealthOverrides(vm.ResourceOverrides).GetResourceHealth(object)
	case "actions":
		scripts, err := vm.GetResourceActionDiscovery(object)
		if err != nil {
			return nil, err
		}
		return vm.ExecuteResourceActionDiscovery(object, scripts)
	case "action":
		return act(vm, object, q.Action)
	case "differences":
		return differences(q)
	}
	return nil, fmt.Errorf("asked for %q", q.Ask)
}

// The patch that Argo CD's server sends for an action; none of ours makes another object.
func act(vm lua.VM, object *unstructured.Unstructured, name string) (json.RawMessage, error) {
	action, err := vm.GetResourceAction(object, name)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	changed, err := vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil {
		return nil, err
	}
	if len(changed) != 1 || changed[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("%s is no change of the object itself", name)
	}
	after, err := json.Marshal(changed[0].UnstructuredObj)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(before, after)
}

type predicted string

func (p predicted) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	return string(p), nil
}

// What each way of comparing says: the patch from what is there to what is wanted.
func differences(q question) (map[string]json.RawMessage, error) {
	dryRun, err := json.Marshal(q.Predicted)
	if err != nil {
		return nil, err
	}
	// Without leaving out what webhooks change: what is not in Git counts too.
	serverSide := []diff.Option{
		diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(predicted(dryRun)),
		diff.WithIgnoreMutationWebhook(false), diff.WithManager(common.ArgoCDSSAManager),
	}
	said := map[string]json.RawMessage{}
	for way, options := range map[string][]diff.Option{"serverSide": serverSide, "legacy": nil} {
		git, live := &unstructured.Unstructured{Object: q.Git}, &unstructured.Unstructured{Object: q.Object}
		found, err := diff.Diff(git.DeepCopy(), live.DeepCopy(), options...)
		if err != nil {
			return nil, err
		}
		if !found.Modified {
			said[way] = json.RawMessage("null")
			continue
		}
		said[way], err = jsonpatch.CreateMergePatch(found.NormalizedLive, found.PredictedLive)
		if err != nil {
			return nil, err
		}
	}
	return said, nil
}
