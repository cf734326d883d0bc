// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/apply"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// retire ends the backups of a Tenant that names no policy any more, or goes. Keys and repositories stay.
func (r *Reconciler) retire(ctx context.Context, tenant *v1alpha1.Tenant) error {
	r.forget(tenant.Name)
	if err := r.stop(ctx, tenant.Name); err != nil {
		return err
	}
	if tenant.Status.Backups == nil && len(ownConditions(tenant.Status.Conditions)) == 0 || !tenant.DeletionTimestamp.IsZero() {
		return nil
	}
	return apply.Status(ctx, r.client, tenant, v1alpha1.TenantStatus{}, fieldOwner)
}

// depart ends the backups of a Tenant that is gone: its namespace, and all that is kept in it, may still be there.
func (r *Reconciler) depart(ctx context.Context, name string) error {
	r.forget(name)
	return r.stop(ctx, name)
}

// stop removes the CronJobs of a Tenant, and, before the last of them, the credentials that may remove backups.
func (r *Reconciler) stop(ctx context.Context, name string) error {
	namespace := meta.Namespace(name)
	var cronJobs batchv1.CronJobList
	if err := r.client.List(ctx, &cronJobs, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelTenant: name}, client.HasLabels{v1alpha1.LabelBackupJob}); err != nil {
		return fmt.Errorf("listing the CronJobs in namespace %s: %w", namespace, err)
	}
	if len(cronJobs.Items) == 0 {
		return nil
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: meta.BackupJobSecret}}
	if err := r.client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil && !apierrors.IsForbidden(err) {
		return fmt.Errorf("removing Secret %s/%s: %w", namespace, meta.BackupJobSecret, err)
	}
	var errs []error
	for i := range cronJobs.Items {
		errs = append(errs, r.removeCronJob(ctx, &cronJobs.Items[i]))
	}
	return errors.Join(errs...)
}

// forget drops what is remembered of a Tenant, and its metrics.
func (r *Reconciler) forget(name string) {
	if r.known.forget(name) {
		conditions.Forget(name, owned...)
		hideMetrics(name)
	}
}
