package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// The storage classes (see base.yaml) name one of these. All volumes are folders of root's with mode 0755, like those
// of most provisioners, and the same on every node.
const (
	provisioner = "node.appstack.dev/"
	// The kubelet gives the folder to the pod's fsGroup.
	grouped = provisioner + "grouped"
	// It does not: whoever is not root cannot write.
	plain = provisioner + "plain"
	// As grouped, with what a new ext4 has in it.
	ext4 = provisioner + "ext4"
	// As grouped, and full when it holds as much as was asked for.
	sized = provisioner + "sized"
)

// provideVolumes plays the provisioner, until the context ends.
func (s *siteState) provideVolumes(ctx context.Context, client kubernetes.Interface) {
	watched := informers.NewSharedInformerFactory(client, 0)
	claims := watched.Core().V1().PersistentVolumeClaims()
	volumes := watched.Core().V1().PersistentVolumes()
	look := make(chan struct{}, 1)
	wake := func(any) {
		select {
		case look <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: wake, UpdateFunc: func(_, o any) { wake(o) }, DeleteFunc: wake}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		_, _ = informer.AddEventHandler(handler) // fails when it is stopped
	}
	watched.Start(ctx.Done())
	watched.WaitForCacheSync(ctx.Done())
	again := time.NewTicker(time.Second)
	for {
		for _, o := range claims.Informer().GetStore().List() {
			claim := o.(*corev1.PersistentVolumeClaim)
			if err := s.provide(ctx, client, claim); err != nil {
				fmt.Fprintln(s.log, "providing a volume:", err)
			}
			if err := grow(ctx, client, claim); err != nil {
				fmt.Fprintln(s.log, "growing a volume:", err)
			}
		}
		for _, o := range volumes.Informer().GetStore().List() {
			if err := s.reclaim(ctx, client, o.(*corev1.PersistentVolume)); err != nil {
				fmt.Fprintln(s.log, "reclaiming a volume:", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look:
		case <-again.C:
		}
	}
}

// provide makes the volume of a claim that waits for one. The controller manager has marked it, once a node is chosen.
func (s *siteState) provide(ctx context.Context, client kubernetes.Interface, claim *corev1.PersistentVolumeClaim) error {
	kind := claim.Annotations["volume.kubernetes.io/storage-provisioner"]
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || filepath.Dir(kind)+"/" != provisioner {
		return nil
	}
	name := "pvc-" + string(claim.UID)
	folder := s.path("volumes", name)
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if err := os.Mkdir(folder, 0o755); errors.Is(err, fs.ErrExist) {
		return nil // and the controller manager is about to bind it
	} else if err != nil {
		return err
	}
	switch kind {
	case sized:
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("mode=755,size=%d", size.Value())); err != nil {
			return err
		}
	case ext4:
		if err := os.Mkdir(filepath.Join(folder, "lost+found"), 0o700); err != nil {
			return err
		}
	}
	path := filepath.Join(volumesDir, name)
	source := corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}}
	if kind == plain {
		directory := corev1.HostPathDirectory
		source = corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &directory}}
	}
	class, err := client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	anywhere := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
		Key: corev1.LabelOSStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"},
	}}}
	_, err = client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": kind}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: size},
			AccessModes:            claim.Spec.AccessModes,
			PersistentVolumeSource: source,
			StorageClassName:       class.Name,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			NodeAffinity:                  &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{anywhere}}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		_ = syscall.Unmount(folder, syscall.MNT_DETACH) // only some are mounted
		return errors.Join(err, os.RemoveAll(folder))
	}
	return nil
}

// grow gives a bound claim what it asks for by now, which is but a number: the folders of this class have no limit.
func grow(ctx context.Context, client kubernetes.Interface, claim *corev1.PersistentVolumeClaim) error {
	asked, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if claim.Status.Phase != corev1.ClaimBound || asked.Cmp(has) <= 0 || claim.Annotations["volume.kubernetes.io/storage-provisioner"] != grouped {
		return nil
	}
	size, err := json.Marshal(map[string]any{"capacity": corev1.ResourceList{corev1.ResourceStorage: asked}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().PersistentVolumes().Patch(
		ctx, claim.Spec.VolumeName, types.MergePatchType, fmt.Appendf(nil, `{"spec": %s}`, size), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(
		ctx, claim.Name, types.MergePatchType, fmt.Appendf(nil, `{"status": %s}`, size), metav1.PatchOptions{}, "status")
	return err
}

// reclaim removes what a claim has left, if its class says so.
func (s *siteState) reclaim(ctx context.Context, client kubernetes.Interface, volume *corev1.PersistentVolume) error {
	kind := volume.Annotations["pv.kubernetes.io/provisioned-by"]
	if volume.Status.Phase != corev1.VolumeReleased || filepath.Dir(kind)+"/" != provisioner ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	folder := s.path("volumes", volume.Name)
	if kind == sized {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	err := client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
