package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

const (
	// A stage sees nothing but its object. A pod whose start depends on others ("judged" in stages.yaml, which must
	// say the same as judged below) waits there until this annotation is "true".
	admitted = "sim.appstack.dev/admitted"

	byReference = "reference"
	// How often the same trouble is told again.
	warnEvery = 5 * time.Second
)

// admission is the part of the kubelet that looks at Secrets and ConfigMaps before the containers of a pod start.
// It admits the pod, or writes the status and the events that tell what is missing. It has no say after the start.
type admission struct {
	client  kubernetes.Interface
	pods    cache.SharedIndexInformer // those on a node and not running yet
	objects map[string]cache.SharedIndexInformer
	queue   workqueue.TypedRateLimitingInterface[podKey]
	events  record.EventBroadcaster

	lock   sync.Mutex
	warned map[podKey]warning
}

type podKey struct {
	name string // with the namespace
	uid  types.UID
}

type warning struct {
	text string
	next time.Time
}

// runAdmission starts the work, which goes on until the context ends.
func runAdmission(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent, config.QPS = "kwok-admission", -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	a := &admission{
		client: client,
		pods: informers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, cache.Indexers{byReference: indexReferences},
			func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName!=,status.phase=Pending" }),
		objects: map[string]cache.SharedIndexInformer{
			"Secret":    informers.NewSecretInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}),
			"ConfigMap": informers.NewConfigMapInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}),
		},
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[podKey]()),
		events: record.NewBroadcaster(record.WithContext(ctx)),
		warned: map[podKey]warning{},
	}
	a.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	synced := []cache.InformerSynced{}
	watch := func(informer cache.SharedIndexInformer, enqueue func(object any)) error {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    enqueue,
			UpdateFunc: func(_, object any) { enqueue(object) },
			DeleteFunc: enqueue,
		})
		if err == nil {
			synced = append(synced, registration.HasSynced)
			go informer.RunWithContext(ctx)
		}
		return err
	}
	for kind, informer := range a.objects {
		err := watch(informer, func(object any) {
			key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
			waiting, _ := a.pods.GetIndexer().ByIndex(byReference, kind+"/"+key)
			for _, pod := range waiting {
				a.enqueue(pod)
			}
		})
		if err != nil {
			return err
		}
	}
	if err := watch(a.pods, a.enqueue); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		a.queue.ShutDown()
	}()
	for range 4 {
		go func() {
			if cache.WaitForCacheSync(ctx.Done(), synced...) {
				for a.next(ctx) {
				}
			}
		}()
	}
	return nil
}

func (a *admission) enqueue(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok && judged(pod) {
		a.queue.Add(podKey{pod.Namespace + "/" + pod.Name, pod.UID})
	}
}

func (a *admission) next(ctx context.Context) bool {
	key, shutdown := a.queue.Get()
	if shutdown {
		return false
	}
	defer a.queue.Done(key)
	// A conflict means that the pod has changed, or even is another one; a pod that is gone needs no answer.
	if err := a.handle(ctx, key); err != nil && !apierrors.IsNotFound(err) {
		if !apierrors.IsConflict(err) {
			utilruntime.HandleErrorWithContext(ctx, err, "cannot judge a pod", "pod", key.name)
		}
		a.queue.AddRateLimited(key)
		return true
	}
	a.queue.Forget(key)
	return true
}

func (a *admission) handle(ctx context.Context, key podKey) error {
	object, _, _ := a.pods.GetStore().GetByKey(key.name)
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.UID != key.uid || pod.DeletionTimestamp != nil || pod.Annotations[admitted] == "true" {
		a.lock.Lock()
		delete(a.warned, key)
		a.lock.Unlock()
		return nil
	}
	found, err := a.judge(ctx, pod)
	if err != nil {
		return err
	}
	if found == nil {
		return a.admit(ctx, pod)
	}
	blocked := pod.DeepCopy()
	found.tell(&blocked.Spec, &blocked.Status)
	if !equality.Semantic.DeepEqual(blocked.Status, pod.Status) {
		// With the version that was judged: by now the pod may have been admitted, and run.
		if _, err := a.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, blocked, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	a.warn(key, pod, found)
	return nil
}

func (a *admission) admit(ctx context.Context, pod *corev1.Pod) error {
	annotations := map[string]string{admitted: "true"}
	if err := a.failTimes(ctx, pod, annotations); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = a.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// failTimes decides the exit code of a pod of a Job by how many others of the Job have failed so far.
func (a *admission) failTimes(ctx context.Context, pod *corev1.Pod, annotations map[string]string) error {
	times, err := strconv.Atoi(knob(pod, "fail-times"))
	owner := metav1.GetControllerOf(pod)
	if err != nil || owner == nil || owner.Kind != "Job" {
		return nil
	}
	job, err := a.client.BatchV1().Jobs(pod.Namespace).Get(ctx, owner.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	failed := int(job.Status.Failed)
	if uncounted := job.Status.UncountedTerminatedPods; uncounted != nil {
		failed += len(uncounted.Failed)
	}
	code := "0"
	if failed < times {
		code = cmp.Or(knob(pod, "exit-code"), "1")
	}
	annotations["sim.appstack.dev/exit-code"] = code
	return nil
}

func (a *admission) warn(key podKey, pod *corev1.Pod, t *trouble) {
	var text strings.Builder
	events := t.events()
	for _, e := range events {
		text.WriteString(e.field + e.message)
	}
	now := time.Now()
	a.lock.Lock()
	last := a.warned[key]
	due := last.text != text.String() || !now.Before(last.next)
	if due {
		last = warning{text.String(), now.Add(warnEvery)}
		a.warned[key] = last
	}
	a.lock.Unlock()
	if due {
		recorder := a.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: pod.Spec.NodeName})
		for _, e := range events {
			about := &corev1.ObjectReference{
				APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
				ResourceVersion: pod.ResourceVersion, FieldPath: e.field,
			}
			recorder.Event(about, corev1.EventTypeWarning, e.reason, e.message)
		}
	}
	a.queue.AddAfter(key, time.Until(last.next))
}

// A reference is what a pod needs of one Secret or ConfigMap: that it exists, and its keys.
type reference struct {
	kind, name string
	keys       []string
	optional   *bool
}

// judged reports whether the start of a pod depends on anything but the pod.
func judged(pod *corev1.Pod) bool {
	return len(references(pod)) > 0 || knob(pod, "fail-times") != ""
}

func knob(pod *corev1.Pod, name string) string {
	if value, ok := pod.Annotations["sim.appstack.dev/"+name]; ok {
		return value
	}
	variable, value := "SIM_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), ""
	for _, e := range pod.Spec.Containers[0].Env {
		if e.Name == variable {
			value = e.Value
		}
	}
	return value
}

func references(pod *corev1.Pod) []reference {
	var all []reference
	for i := range pod.Spec.Volumes {
		all = append(all, ofVolume(&pod.Spec.Volumes[i])...)
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			all = append(all, ofEnvironment(&containers[i])...)
		}
	}
	return all
}

func indexReferences(object any) ([]string, error) {
	var keys []string
	if pod, ok := object.(*corev1.Pod); ok {
		for _, r := range references(pod) {
			keys = append(keys, r.kind+"/"+pod.Namespace+"/"+r.name)
		}
	}
	return keys, nil
}

// ofEnvironment has the order in which the kubelet looks.
func ofEnvironment(c *corev1.Container) []reference {
	var all []reference
	for _, e := range c.EnvFrom {
		if r := e.ConfigMapRef; r != nil {
			all = append(all, reference{"ConfigMap", r.Name, nil, r.Optional})
		}
		if r := e.SecretRef; r != nil {
			all = append(all, reference{"Secret", r.Name, nil, r.Optional})
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			all = append(all, reference{"ConfigMap", r.Name, []string{r.Key}, r.Optional})
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			all = append(all, reference{"Secret", r.Name, []string{r.Key}, r.Optional})
		}
	}
	return all
}

func ofVolume(v *corev1.Volume) []reference {
	var all []reference
	add := func(kind, name string, items []corev1.KeyToPath, optional *bool) {
		var keys []string
		for _, item := range items {
			keys = append(keys, item.Key)
		}
		// Nearly every pod has the one with the certificates, which the controller manager keeps in each namespace.
		if name != "kube-root-ca.crt" {
			all = append(all, reference{kind, name, keys, optional})
		}
	}
	if s := v.Secret; s != nil {
		add("Secret", s.SecretName, s.Items, s.Optional)
	}
	if s := v.ConfigMap; s != nil {
		add("ConfigMap", s.Name, s.Items, s.Optional)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if s := source.Secret; s != nil {
				add("Secret", s.Name, s.Items, s.Optional)
			}
			if s := source.ConfigMap; s != nil {
				add("ConfigMap", s.Name, s.Items, s.Optional)
			}
		}
	}
	return all
}

// problem says in the kubelet's words what keeps a reference from being resolved: nil if nothing does. For the
// environment only text counts, for a volume all keys of a ConfigMap.
func (r *reference) problem(namespace string, object any, volume bool) error {
	var has func(key string) bool
	switch o := object.(type) {
	case *corev1.Secret:
		has = func(key string) bool { _, ok := o.Data[key]; return ok }
	case *corev1.ConfigMap:
		has = func(key string) bool {
			_, text := o.Data[key]
			_, binary := o.BinaryData[key]
			return text || volume && binary
		}
	default:
		return fmt.Errorf("%s %q not found", strings.ToLower(r.kind), r.name)
	}
	for _, key := range r.keys {
		switch {
		case has(key):
		case !volume:
			return fmt.Errorf("couldn't find key %s in %s %s/%s", key, r.kind, namespace, r.name)
		case r.kind == "Secret":
			return fmt.Errorf("references non-existent secret key: %s", key)
		default:
			return fmt.Errorf("configmap references non-existent config key: %s", key)
		}
	}
	return nil
}

// resolve returns the first problem with each of the references, or an error if the server cannot be asked.
func (a *admission) resolve(ctx context.Context, namespace string, all []reference, volume bool) (problems []string, _ error) {
	for _, r := range all {
		if r.optional != nil && *r.optional {
			continue
		}
		object, _, _ := a.objects[r.kind].GetStore().GetByKey(namespace + "/" + r.name)
		if r.problem(namespace, object, volume) == nil {
			continue
		}
		// What we know may be older than the pod.
		var err error
		if r.kind == "Secret" {
			object, err = a.client.CoreV1().Secrets(namespace).Get(ctx, r.name, metav1.GetOptions{})
		} else {
			object, err = a.client.CoreV1().ConfigMaps(namespace).Get(ctx, r.name, metav1.GetOptions{})
		}
		if apierrors.IsNotFound(err) {
			object, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := r.problem(namespace, object, volume); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems, nil
}

// trouble is why a pod cannot start: a volume, or else the environment of containers.
type trouble struct {
	volume, volumeProblem string
	init                  bool
	containers            map[string]string
}

type podEvent struct{ field, reason, message string }

// judge returns nil for a pod that can start.
func (a *admission) judge(ctx context.Context, pod *corev1.Pod) (*trouble, error) {
	mounted := func(volume string) bool { // others are not looked at
		mounts := func(c corev1.Container) bool {
			return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
		}
		return slices.ContainsFunc(pod.Spec.Containers, mounts) || slices.ContainsFunc(pod.Spec.InitContainers, mounts)
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if !mounted(v.Name) {
			continue
		}
		problems, err := a.resolve(ctx, pod.Namespace, ofVolume(v), true)
		if err != nil {
			return nil, err
		}
		switch len(problems) {
		case 0:
		case 1:
			return &trouble{volume: v.Name, volumeProblem: problems[0]}, nil
		default:
			return &trouble{volume: v.Name, volumeProblem: "[" + strings.Join(problems, ", ") + "]"}, nil
		}
	}
	for _, init := range []bool{true, false} {
		containers := pod.Spec.Containers
		if init {
			containers = pod.Spec.InitContainers
		}
		found := map[string]string{}
		for i := range containers {
			problems, err := a.resolve(ctx, pod.Namespace, ofEnvironment(&containers[i]), false)
			if err != nil {
				return nil, err
			}
			if len(problems) > 0 {
				found[containers[i].Name] = problems[0]
				if init {
					break // the others come after it
				}
			}
		}
		if len(found) > 0 {
			return &trouble{init: init, containers: found}, nil
		}
	}
	return nil, nil
}

func (t *trouble) events() []podEvent {
	if t.volume != "" {
		return []podEvent{{
			"", "FailedMount", fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", t.volume, t.volumeProblem),
		}}
	}
	field := "spec.containers"
	if t.init {
		field = "spec.initContainers"
	}
	var all []podEvent
	for name, problem := range t.containers {
		all = append(all, podEvent{fmt.Sprintf("%s{%s}", field, name), "Failed", "Error: " + problem})
	}
	slices.SortFunc(all, func(a, b podEvent) int { return cmp.Compare(a.field, b.field) })
	return all
}

// tell fills in the status. The pod does not get its address yet, by which the stages know that it has started.
func (t *trouble) tell(spec *corev1.PodSpec, status *corev1.PodStatus) {
	now := metav1.Now().Rfc3339Copy()
	if status.StartTime == nil {
		status.StartTime = &now
	}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	list := func(containers []corev1.Container, state func(c *corev1.Container) corev1.ContainerState) []corev1.ContainerStatus {
		var all []corev1.ContainerStatus
		for i := range containers {
			c := &containers[i]
			s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: state(c)}
			started := s.State.Running != nil
			s.Started, s.Ready = &started, s.State.Terminated != nil
			all = append(all, s)
		}
		return all
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: *status.StartTime}}
	completed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "Completed", StartedAt: *status.StartTime, FinishedAt: *status.StartTime,
	}}
	early := waiting("ContainerCreating", "")
	if len(spec.InitContainers) > 0 {
		early = waiting("PodInitializing", "")
	}
	stuck := false
	status.InitContainerStatuses = list(spec.InitContainers, func(c *corev1.Container) corev1.ContainerState {
		problem, bad := t.containers[c.Name]
		switch {
		case stuck || t.volume != "":
			return early
		case bad && t.init:
			stuck = true
			return waiting("CreateContainerConfigError", problem)
		case c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways:
			return running
		default:
			return completed
		}
	})
	status.ContainerStatuses = list(spec.Containers, func(c *corev1.Container) corev1.ContainerState {
		problem, bad := t.containers[c.Name]
		switch {
		case t.init || t.volume != "":
			return early
		case bad:
			return waiting("CreateContainerConfigError", problem)
		default:
			return running
		}
	})
	condition := func(kind corev1.PodConditionType, ok bool, reason string) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: now}
		if ok {
			c.Status, c.Reason = corev1.ConditionTrue, ""
		}
		i := slices.IndexFunc(status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
		switch {
		case i < 0:
			status.Conditions = append(status.Conditions, c)
		case status.Conditions[i].Status != c.Status || status.Conditions[i].Reason != c.Reason:
			status.Conditions[i] = c
		}
	}
	condition(corev1.PodReadyToStartContainers, t.volume == "", "")
	condition(corev1.PodInitialized, len(spec.InitContainers) == 0 || t.volume == "" && !t.init, "ContainersNotInitialized")
	condition(corev1.PodReady, false, "ContainersNotReady")
	condition(corev1.ContainersReady, false, "ContainersNotReady")
}
