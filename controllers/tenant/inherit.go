// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// sourceEscrow is the escrow of the instance whose backups a new one is filled from; nil if it is filled from none. What
// that application has encrypted is in the backups, and what it was encrypted with only here.
func (r *Reconciler) sourceEscrow(ctx context.Context, s *scope) (*corev1.Secret, error) {
	source := filledFrom(s)
	if source == "" {
		return nil, nil
	}
	escrow := &corev1.Secret{}
	key := types.NamespacedName{Namespace: r.options.Facts.OperatorNamespace, Name: meta.EscrowSecret(source)}
	err := r.api.Get(ctx, key, escrow)
	if apierrors.IsNotFound(err) {
		return nil, escrowMissing(s, key, source)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the escrow %s of the instance to restore: %w", key, err)
	}
	return escrow, nil
}

func escrowMissing(s *scope, key types.NamespacedName, source string) error {
	missing := stall(v1alpha1.ReasonKeysLost,
		"bootstrap.restore names instance %s, and Secret %s with its generated values and the names of its database is not in this cluster: without them the restored data could not be used, so nothing is made. It lies sealed beside the backups: fetch escrow.age from the folder %s/%s/g1, or, if there are others, the one with the highest number, of any destination, and bring it with: age -d -i KEYFILE escrow.age | kubectl apply -f -",
		source, key, sourceTenant(s), source)
	// Secrets are not watched: nobody tells when it is there.
	missing.retry = sourceRetry
	return missing
}

// sourceRetry is how often a Secret that a person has to bring is looked for.
const sourceRetry = conflictRetry / 4

// sourceTenant is the name of the Tenant that the other instance had.
func sourceTenant(s *scope) string {
	if name := s.tenant.Spec.Bootstrap.Restore.Tenant; name != "" {
		return name
	}
	return s.name
}

// inherit adds to what was found for the escrow of a new instance what its application takes over from the one that it is
// filled from: the generated values. Authority and password are its own.
func (r *Reconciler) inherit(ctx context.Context, s *scope, found map[string][]byte) error {
	source, err := r.sourceEscrow(ctx, s)
	if err != nil || source == nil {
		return err
	}
	for key, value := range source.Data {
		if _, has := found[key]; !has && strings.HasPrefix(key, meta.EscrowGeneratedPrefix) {
			found[key] = value
		}
	}
	return nil
}

// confirmSource refuses to fill an instance that had begun with values of its own: what is in the backups was made with
// others. secret is its escrow as it is stored.
func confirmSource(s *scope, secret *corev1.Secret) error {
	source := filledFrom(s)
	if source == "" || secret.Annotations[meta.AnnotationBootstrapped] == source {
		return nil
	}
	return stall(v1alpha1.ReasonInvalidSpec,
		"bootstrap.restore names instance %s, but this instance (%s) did not begin with it and has generated values of its own, which do not fit that data: remove bootstrap.restore to go on with an empty database, or delete this Tenant and its namespace %s and create it anew",
		source, s.instanceID, s.namespace)
}

// markSource notes on the escrow of a new instance whose values it takes over.
func markSource(s *scope, secret *corev1.Secret) {
	if source := filledFrom(s); source != "" {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, meta.AnnotationBootstrapped, source)
	}
}
