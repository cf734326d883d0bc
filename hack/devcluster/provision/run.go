// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// retryAfter is the pause after a pass in which something failed.
const retryAfter = time.Second

// Config says where volumes live.
type Config struct {
	// Kubeconfig is the path of a kubeconfig that may do everything with volumes and claims.
	Kubeconfig string
	// Root is the folder that holds one folder per volume; it must exist.
	Root string
	// Node is the name of the node that volumes belong to.
	Node string
}

type provisioner struct {
	Config
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
}

// Run serves claims until ctx is done, and then returns nil. Failures of single volumes are logged and tried again.
func Run(ctx context.Context, cfg Config) error {
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig of the provisioner: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	p := &provisioner{
		Config: cfg, client: client,
		claims:  factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes: factory.Core().V1().PersistentVolumes().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(),
	}
	changed := make(chan struct{}, 1)
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().PersistentVolumeClaims().Informer(), factory.Core().V1().PersistentVolumes().Informer(),
		factory.Storage().V1().StorageClasses().Informer(),
	} {
		if _, err := informer.AddEventHandler(signalTo(changed)); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	p.loop(ctx, changed)
	return nil
}

// signalTo reports any event; several that nobody looked at yet count as one.
func signalTo(changed chan struct{}) cache.ResourceEventHandler {
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { signal() }, UpdateFunc: func(any, any) { signal() }, DeleteFunc: func(any) { signal() },
	}
}

func (p *provisioner) loop(ctx context.Context, changed <-chan struct{}) {
	for {
		var again <-chan time.Time
		if err := p.pass(ctx); err != nil {
			slog.Error("some volumes are not as they should be; trying again", "error", err)
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
	}
}

// pass looks at everything; one failure does not keep the others waiting.
func (p *provisioner) pass(ctx context.Context) error {
	claims, err := p.claims.List(labels.Everything())
	if err != nil {
		return err
	}
	volumes, err := p.volumes.List(labels.Everything())
	if err != nil {
		return err
	}
	var errs []error
	for _, claim := range claims {
		errs = append(errs, p.serve(ctx, claim))
	}
	for _, volume := range volumes {
		if mayDelete(volume, p.Root) {
			errs = append(errs, p.remove(ctx, volume.Name))
		}
	}
	return errors.Join(errs...)
}

func (p *provisioner) serve(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := p.classes.Get(*claim.Spec.StorageClassName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if wantsVolume(claim, class) {
		return p.create(ctx, newVolume(claim, class, p.Root, p.Node), limited(class))
	}
	if volume, err := p.volumes.Get(claim.Spec.VolumeName); err == nil && mustGrow(claim, volume) {
		return p.grow(ctx, claim, volume)
	}
	return nil
}

// create makes the folder with the set-group-id bit, as the kubelet expects when it hands it to a pod's fsGroup.
func (p *provisioner) create(ctx context.Context, volume *corev1.PersistentVolume, limited bool) error {
	path := volume.Spec.Local.Path
	if err := os.MkdirAll(path, 0o770); err != nil {
		return err
	}
	if limited {
		if err := mountLimited(ctx, path, volume.Spec.Capacity.Storage().Value()); err != nil {
			return fmt.Errorf("file system of %s: %w", volume.Name, err)
		}
	}
	if err := os.Chmod(path, 0o770|os.ModeSetgid); err != nil {
		return err
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		slog.Info("volume made", "volume", volume.Name, "claim", volume.Spec.ClaimRef.Namespace+"/"+volume.Spec.ClaimRef.Name)
	}
	return err
}

// remove looks at the live object again, since a policy that changed a moment ago must count.
func (p *provisioner) remove(ctx context.Context, name string) error {
	live, err := p.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !mayDelete(live, p.Root) {
		return nil
	}
	path := filepath.Join(p.Root, name)
	if err := unmountLimited(path); err != nil {
		return fmt.Errorf("file system of %s: %w", name, err)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("delete the data of %s: %w", name, err)
	}
	slog.Info("volume deleted", "volume", name)
	err = p.client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &live.UID},
	})
	return ignoreNotFound(err)
}

func (p *provisioner) grow(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) error {
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	bigger := volume.DeepCopy()
	bigger.Spec.Capacity[corev1.ResourceStorage] = wanted
	if _, err := p.client.CoreV1().PersistentVolumes().Update(ctx, bigger, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("grow %s: %w", volume.Name, err)
	}
	grown := claim.DeepCopy()
	grown.Status.Capacity[corev1.ResourceStorage] = wanted
	_, err := p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, grown, metav1.UpdateOptions{})
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
