// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// rebuild reads a revision back from the workloads: what we own of them and of the immutable ConfigMaps that they
// mount. nil if one of them is missing.
func (r *Reconciler) rebuild(ctx context.Context, s *scope) (*render.Revision, error) {
	o := s.observed
	database, app, edge := o.statefulSets[meta.DatabaseStatefulSet], o.statefulSets[meta.AppStatefulSet], o.deployments[meta.EdgeDeployment]
	if database == nil || app == nil || edge == nil {
		return nil, nil
	}
	revision := &render.Revision{}
	var err error
	if revision.Database, err = ownStatefulSet(database); err != nil {
		return nil, err
	}
	render.MountData(revision.Database, meta.DatabaseClaim)
	if revision.App, err = ownStatefulSet(app); err != nil {
		return nil, err
	}
	render.MountData(revision.App, meta.AppClaim)
	if revision.Edge, err = appsv1ac.ExtractDeployment(edge, meta.FieldOwner); err != nil {
		return nil, err
	}
	unmark(revision.Edge.ObjectMetaApplyConfiguration)
	if revision.Edge.Spec != nil {
		revision.Edge.Spec.Replicas = nil
	}
	// In the order in which rendering lists them: the hash depends on it.
	for _, template := range []corev1.PodTemplateSpec{database.Spec.Template, edge.Spec.Template, app.Spec.Template} {
		configs, err := r.immutableConfigs(ctx, s, template)
		if err != nil {
			return nil, err
		}
		revision.ConfigMaps = append(revision.ConfigMaps, configs...)
	}
	return revision, nil
}

// closest is as near as one can come to a revision that is lost: the workloads that are left, and today's rendering for
// the others. Walls, quota and keys are made to fit it; no workload is ever made from it.
func closest(s *scope) (*render.Revision, error) {
	revision, err := render.NewRevision(s.inputs)
	if err != nil {
		return nil, err
	}
	o := s.observed
	return revision, errors.Join(
		overlay(revision.Database, o.statefulSets[meta.DatabaseStatefulSet]),
		overlay(revision.App, o.statefulSets[meta.AppStatefulSet]),
		overlay(revision.Edge, o.deployments[meta.EdgeDeployment]))
}

// overlay replaces a rendered workload by the live one; without a live one it stays.
func overlay[A any, O interface {
	comparable
	client.Object
}](rendered *A, live O) error {
	var none O
	if live == none {
		return nil
	}
	raw, err := json.Marshal(live)
	if err != nil {
		return fmt.Errorf("reading %T %s/%s as a revision: %w", live, live.GetNamespace(), live.GetName(), err)
	}
	var left A
	if err := json.Unmarshal(raw, &left); err != nil {
		return fmt.Errorf("reading %T %s/%s as a revision: %w", live, live.GetNamespace(), live.GetName(), err)
	}
	*rendered = left
	return nil
}

func ownStatefulSet(live *appsv1.StatefulSet) (*appsv1ac.StatefulSetApplyConfiguration, error) {
	own, err := appsv1ac.ExtractStatefulSet(live, meta.FieldOwner)
	if err != nil {
		return nil, fmt.Errorf("reading what we own of StatefulSet %s/%s: %w", live.Namespace, live.Name, err)
	}
	unmark(own.ObjectMetaApplyConfiguration)
	if own.Spec != nil {
		own.Spec.Replicas = nil
	}
	return own, nil
}

// unmark takes away what Workloads adds to a stored revision.
func unmark(object *metav1ac.ObjectMetaApplyConfiguration) {
	if object == nil {
		return
	}
	delete(object.Annotations, meta.AnnotationRevision)
	delete(object.Annotations, meta.AnnotationRevisionHash)
	if len(object.Annotations) == 0 {
		object.Annotations = nil
	}
}

// immutableConfigs are the ConfigMaps that belong to the revision of a pod template.
func (r *Reconciler) immutableConfigs(ctx context.Context, s *scope, template corev1.PodTemplateSpec) ([]*corev1ac.ConfigMapApplyConfiguration, error) {
	var out []*corev1ac.ConfigMapApplyConfiguration
	for _, volume := range template.Spec.Volumes {
		if volume.ConfigMap == nil || !strings.HasPrefix(volume.ConfigMap.Name, "freehold-") {
			continue
		}
		live := s.observed.configMaps[volume.ConfigMap.Name]
		if live == nil {
			live = &corev1.ConfigMap{}
			err := r.api.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: volume.ConfigMap.Name}, live)
			if client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("reading ConfigMap %s/%s: %w", s.namespace, volume.ConfigMap.Name, err)
			}
		}
		if !ptr.Deref(live.Immutable, false) {
			continue
		}
		own, err := corev1ac.ExtractConfigMap(live, meta.FieldOwner)
		if err != nil {
			return nil, fmt.Errorf("reading what we own of ConfigMap %s/%s: %w", s.namespace, live.Name, err)
		}
		out = append(out, own)
	}
	return out, nil
}
